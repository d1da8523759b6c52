#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vljepa {

/// Names of the tensors of a serialised ONNX model that live in other files: such a path reads any file of the machine.
/// Throws std::runtime_error for what is no ONNX model.
std::vector<std::string> external_weights(std::string_view model);

/// Names of the inputs of a serialised ONNX model, in its order. Throws std::runtime_error for what is no ONNX model.
std::vector<std::string> declared_inputs(std::string_view model);

}  // namespace vljepa
