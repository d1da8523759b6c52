"""`ros2 launch vljepa_ros vljepa.launch.py image:=/camera/image_raw`. NOT VERIFIED ON ROS."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

CHOSEN = {"image": "the topic of the images", "transport": "raw or compressed"}


def make_node(context: LaunchContext) -> list[Node]:
    """The node with the parameters of a file; what is given here comes before what the file says."""
    given = context.launch_configurations
    chosen = {name: given[name] for name in CHOSEN if given[name]}
    return [
        Node(
            package="vljepa_ros",
            executable="vljepa",
            name="vljepa",
            parameters=[given["params"], *([chosen] if chosen else [])],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments, and the node made of them."""
    config = Path(get_package_share_directory("vljepa_ros"), "config", "vljepa.yaml")
    return LaunchDescription(
        [
            DeclareLaunchArgument("params", default_value=str(config), description="a file of parameters"),
            *(DeclareLaunchArgument(name, default_value="", description=text) for name, text in CHOSEN.items()),
            OpaqueFunction(function=make_node),
        ]
    )
