#include "vljepa/engine.hpp"

#include <array>

#include "engine/openvino.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

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

std::unique_ptr<Engine> open_engine(const std::string& name, int threads, Precision precision) {
    if (name != "openvino") throw InputError("engine must be openvino, got \"" + name + "\"");
    if (threads < 0 || threads > 1024) {
        throw InputError("threads must be 0 to 1024, got " + std::to_string(threads));
    }
    return open_openvino(threads, precision);
}

}  // namespace vljepa
