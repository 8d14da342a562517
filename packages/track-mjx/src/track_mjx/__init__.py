"""Train controllers that reproduce recorded movement of an animal in MuJoCo physics."""
