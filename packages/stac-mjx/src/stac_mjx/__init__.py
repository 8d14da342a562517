"""Register 3D keypoints of any animal to its MuJoCo body: joint angles, marker offsets, errors in millimetres."""
