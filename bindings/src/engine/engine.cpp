#include "vljepa/engine.hpp"

#include <array>
#include <utility>

#include "engine/engines.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

// How the library is built with each engine.
constexpr std::pair<const char*, const char*> kOptions[] = {
    {"openvino", "-DOpenVINO_DIR=.../openvino/cmake"},
    {"onnxruntime", "-DVLJEPA_ONNXRUNTIME=ON -DONNXRUNTIME_ROOT=..."},
    {"tensorrt", "-DVLJEPA_TENSORRT=ON"},
};

}  // namespace

std::size_t element_bytes(DataType type) { return type == DataType::u8 ? 1 : type == DataType::i64 ? 8 : 4; }

std::size_t element_count(const Shape& shape) {
    std::size_t count = 1;
    for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
    return count;
}

std::string describe(DataType type, const Shape& shape) {
    static const std::array<const char*, 3> kNames{"uint8", "int64", "float32"};
    std::string text = std::string(kNames[static_cast<std::size_t>(type)]) + " [";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        text += (i == 0 ? "" : ", ") + (shape[i] < 0 ? "any" : std::to_string(shape[i]));
    }
    return text + "]";
}

void Output::reshape(DataType new_type, Shape new_shape) {
    type = new_type;
    shape = std::move(new_shape);
    bytes.resize(count() * element_bytes(type));
}

std::unique_ptr<Engine> open_engine(const std::string& name, int threads, [[maybe_unused]] Precision precision) {
    if (threads < 0 || threads > 1024) {
        throw InputError("threads must be 0 to 1024, got " + std::to_string(threads));
    }
    const std::size_t colon = name.find(':');  // before the folder of TensorRT's plans
    const std::string kind = name.substr(0, colon);
    const std::string folder = colon == std::string::npos ? "" : name.substr(colon + 1);
    if ((kind == "tensorrt") == folder.empty()) {
        throw InputError("engine must be openvino, onnxruntime or tensorrt:FOLDER, got \"" + name + "\"");
    }
#ifdef VLJEPA_HAS_OPENVINO
    if (kind == "openvino") return open_openvino(threads, precision);
#endif
#ifdef VLJEPA_HAS_ONNXRUNTIME
    if (kind == "onnxruntime") return open_onnxruntime(threads, precision);
#endif
#ifdef VLJEPA_HAS_TENSORRT
    if (kind == "tensorrt") return open_tensorrt(folder, threads, precision);
#endif
    for (const auto& [known, option] : kOptions) {
        if (kind == known) throw EngineError("libvljepa was built without " + kind + "; configure it with " + option);
    }
    throw InputError("engine must be openvino, onnxruntime or tensorrt:FOLDER, got \"" + name + "\"");
}

}  // namespace vljepa
