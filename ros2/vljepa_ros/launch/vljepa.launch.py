"""`ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw`. NOT VERIFIED ON ROS."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    """The node with the parameters of a file, of which the topic and how it comes can be said here."""
    config = Path(get_package_share_directory("vljepa_ros"), "config", "vljepa.yaml")
    chosen = {name: LaunchConfiguration(name) for name in ("image", "transport")}
    return LaunchDescription(
        [
            DeclareLaunchArgument("params", default_value=str(config), description="a file of parameters"),
            DeclareLaunchArgument("image", default_value="image", description="the topic of the images"),
            DeclareLaunchArgument("transport", default_value="raw", description="raw or compressed"),
            Node(
                package="vljepa_ros",
                executable="vljepa",
                name="vljepa",
                parameters=[LaunchConfiguration("params"), chosen],
                output="screen",
            ),
        ]
    )
