#pragma once

#include <memory>
#include <string>

#include "vljepa/engine.hpp"

namespace vljepa {

/// See open_engine() for these; each is there where the library was built with it.
std::unique_ptr<Engine> open_openvino(int threads, Precision precision);
std::unique_ptr<Engine> open_onnxruntime(int threads, Precision precision);
/// `folder`: plans that `vljepa build` made on this machine.
std::unique_ptr<Engine> open_tensorrt(const std::string& folder, int threads, Precision precision);

}  // namespace vljepa
