#pragma once

#include <string>

#include "vljepa/engine.hpp"

namespace vljepa {

/// An array of a .npy file: its type as NumPy writes it ("<f4"), its shape, and its bytes.
struct Npy {
    std::string type;
    Shape shape;
    std::string data;
};

/// Reads a .npy of version 1.0 in C order, from bytes that nobody vouches for. Throws std::runtime_error.
Npy parse_npy(const std::string& data);

}  // namespace vljepa
