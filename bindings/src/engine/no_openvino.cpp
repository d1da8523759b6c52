#include "engine/openvino.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

std::unique_ptr<Engine> open_openvino(int, Precision) {
    throw EngineError("libvljepa was built without OpenVINO; configure it with -DOpenVINO_DIR=.../openvino/cmake");
}

}  // namespace vljepa
