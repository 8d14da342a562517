"""`reach-analysis report`: everything on one page."""

from __future__ import annotations

from reach_analysis.report_config import ReportConfig


def run(config: ReportConfig) -> int:
    """Write page, numbers, figures and tables."""
    from reach_analysis._common.files import output_folder
    from reach_analysis._common.progress import reporting
    from reach_analysis.report.build import PAGE, build, write
    from reach_analysis.report.opening import gather

    inputs = gather(config)
    folder = output_folder(config.out, "reach_results/report")
    with reporting() as (log, stage):
        write(build(inputs, config, stage), folder)
        log.info("%s", folder / PAGE)
    return 0
