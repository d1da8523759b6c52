"""Cameras of robots that run ROS: image messages as pictures, and bags of them as recordings. No ROS is needed."""
