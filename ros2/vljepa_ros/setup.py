from setuptools import setup

NAME = "vljepa_ros"

setup(
    name=NAME,
    version="0.9.0",
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", ["launch/vljepa.launch.py"]),
        (f"share/{NAME}/config", ["config/vljepa.yaml"]),
    ],
    install_requires=["setuptools", "vljepa-edge"],
    zip_safe=True,
    description="Says what happens in the images of a camera",
    license="Apache-2.0",
    entry_points={"console_scripts": ["vljepa = vljepa_ros.node:main"]},
)
