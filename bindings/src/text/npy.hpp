#pragma once

#include <map>
#include <string>
#include <vector>

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

/// The arrays of a .npz whose entries are stored, as np.savez writes it, by their names without ".npy". Throws
/// std::runtime_error.
std::map<std::string, Npy> read_npz(const std::string& path);

/// The numbers of an array of "<f4", "<f8" or "<i8" as T. Throws std::runtime_error, naming it, unless it has the type and
/// so many dimensions.
template <typename T>
std::vector<T> numbers(const std::map<std::string, Npy>& arrays, const std::string& name, std::size_t dimensions);
/// The texts of an array of NumPy's own ("<U12"), in UTF-8. Throws as numbers() does.
std::vector<std::string> texts(const std::map<std::string, Npy>& arrays, const std::string& name, std::size_t dimensions);
/// A text that is kept as its bytes of UTF-8. Throws as numbers() does.
std::string letters(const std::map<std::string, Npy>& arrays, const std::string& name);

}  // namespace vljepa
