#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vljepa/manifest.hpp"

namespace vljepa {

using Shape = std::vector<std::int64_t>;

std::size_t element_bytes(DataType type);
/// How many numbers a shape holds.
std::size_t element_count(const Shape& shape);
/// "float32 [1, 8, 640]", for messages.
std::string describe(DataType type, const Shape& shape);

/// Numbers that the caller keeps while a graph reads them.
struct Input {
    std::string_view name;
    DataType type;
    Shape shape;
    const void* data;
};

/// Numbers that a graph writes, in memory of the caller's that is used again where it is large enough.
struct Output {
    DataType type = DataType::f32;
    Shape shape;
    std::vector<std::byte> bytes;

    void reshape(DataType new_type, Shape new_shape);
    const float* floats() const { return reinterpret_cast<const float*>(bytes.data()); }
    std::size_t count() const { return element_count(shape); }
};

/// Outputs by name: a graph fills those that are there.
using Outputs = std::map<std::string, Output, std::less<>>;

/// A compiled graph. Calls from many threads at once are safe and wait for each other where they must.
class Graph {
  public:
    virtual ~Graph() = default;

    virtual const std::vector<std::string>& inputs() const = 0;
    virtual const std::vector<std::string>& outputs() const = 0;
    /// Runs once. Throws EngineError that names the graph when an input is missing or its type or shape is not what the
    /// graph takes, and when the engine fails.
    virtual void run(const std::vector<Input>& inputs, Outputs& outputs) = 0;
};

enum class Precision { automatic, f32, bf16, f16 };

/// Compiles ONNX graphs for one device.
class Engine {
  public:
    virtual ~Engine() = default;

    /// `model`: a serialised ONNX model; `name` is for messages. Throws EngineError.
    virtual std::unique_ptr<Graph> compile(const std::string& model, const std::string& name) = 0;
};

/// Opens "openvino" or "onnxruntime" on this machine's CPU, or "tensorrt:FOLDER" on its GPU, with the engines that
/// `vljepa build` wrote there. `threads`: how many a CPU's may use, 0 for its own choice. `precision`: of the arithmetic
/// outside INT8 parts; automatic is on OpenVINO bf16 where the CPU has it, else f32. Throws InputError for another name,
/// EngineError where this library was built without the engine or it has not the precision.
std::unique_ptr<Engine> open_engine(const std::string& name, int threads, Precision precision);

}  // namespace vljepa
