#pragma once

#include <memory>

#include "vljepa/engine.hpp"

namespace vljepa {

/// See open_engine().
std::unique_ptr<Engine> open_openvino(int threads, Precision precision);

}  // namespace vljepa
