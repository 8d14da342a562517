"""Speed against pyEDM, and whether tests hold their level: what `reach-analysis bench` measures."""
