# What runs graphs, each where it is found: the objects vljepa_engine, and in VLJEPA_ENGINE what they are linked with.
vljepa_objects(vljepa_engine src/engine/engine.cpp src/engine/plans.cpp src/engine/ports.cpp)
set(VLJEPA_ENGINE)

# An engine of the library: its name, its source, where its headers are, what it is linked with.
macro(vljepa_add_engine name source headers)
  string(TOUPPER ${name} upper)
  target_sources(vljepa_engine PRIVATE ${source})
  target_compile_definitions(vljepa_engine PRIVATE VLJEPA_HAS_${upper})
  target_include_directories(vljepa_engine SYSTEM PRIVATE ${headers})  # not for our warnings
  list(APPEND VLJEPA_ENGINE ${ARGN})
endmacro()

# The openvino package of PyPI has headers, libraries and what CMake needs: -DOpenVINO_DIR=.../site-packages/openvino/cmake.
find_package(OpenVINO QUIET COMPONENTS Runtime)
if(OpenVINO_FOUND)
  get_target_property(headers openvino::runtime INTERFACE_INCLUDE_DIRECTORIES)
  vljepa_add_engine(openvino src/engine/openvino.cpp "${headers}" openvino::runtime)
endif()

# A release archive of ONNX Runtime, unpacked, has headers and the library: its folder is ONNXRUNTIME_ROOT.
option(VLJEPA_ONNXRUNTIME "Build the engine of ONNX Runtime" OFF)
if(VLJEPA_ONNXRUNTIME)
  find_path(ONNXRUNTIME_HEADERS onnxruntime_c_api.h HINTS ${ONNXRUNTIME_ROOT}
            PATH_SUFFIXES include include/onnxruntime include/onnxruntime/core/session REQUIRED NO_CMAKE_FIND_ROOT_PATH)
  find_library(ONNXRUNTIME_LIBRARY onnxruntime HINTS ${ONNXRUNTIME_ROOT} PATH_SUFFIXES lib lib64 REQUIRED
               NO_CMAKE_FIND_ROOT_PATH)
  vljepa_add_engine(onnxruntime src/engine/onnxruntime.cpp ${ONNXRUNTIME_HEADERS} ${ONNXRUNTIME_LIBRARY})
endif()

# TensorRT's headers and library, and CUDA's. NOT VERIFIED ON HARDWARE.
option(VLJEPA_TENSORRT "Build the engine of TensorRT" OFF)
if(VLJEPA_TENSORRT)
  find_package(CUDAToolkit REQUIRED)
  find_path(TENSORRT_HEADERS NvInfer.h HINTS ${TENSORRT_ROOT} PATH_SUFFIXES include REQUIRED)
  find_library(TENSORRT_LIBRARY nvinfer HINTS ${TENSORRT_ROOT} PATH_SUFFIXES lib REQUIRED)
  vljepa_add_engine(tensorrt src/engine/tensorrt.cpp "${TENSORRT_HEADERS};${CUDAToolkit_INCLUDE_DIRS}"
                    ${TENSORRT_LIBRARY} ${CUDA_cudart_LIBRARY})
endif()

if(NOT VLJEPA_ENGINE)
  message(WARNING "No engine was found: the library opens bundles and scales pictures, and loads no model. "
                  "Install the package openvino and give its folder `cmake` as OpenVINO_DIR.")
endif()
target_link_libraries(vljepa_engine PRIVATE ${VLJEPA_ENGINE})
