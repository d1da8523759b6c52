# Cross-compiles for 64-bit Arm on Debian or Ubuntu: apt-get install g++-aarch64-linux-gnu, and qemu-user to run the tests.
# OpenVINO is that of its wheel for Arm: pip download --no-deps --platform manylinux_2_35_aarch64 --only-binary=:all: openvino
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
find_program(qemu_aarch64 qemu-aarch64)
if(qemu_aarch64)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${qemu_aarch64} -cpu cortex-a72 -L /usr/aarch64-linux-gnu)
endif()
