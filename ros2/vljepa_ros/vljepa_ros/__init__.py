"""VL-JEPA as a ROS 2 node."""
