// Files of arrays that Python writes: a .npz, that is a zip of .npy arrays that are stored.

#include <cstring>
#include <stdexcept>

#include "bundle/zip.hpp"
#include "text/npy.hpp"

namespace vljepa {

namespace {

constexpr std::uint64_t kLargest = 256u << 20;
constexpr std::size_t kChunk = 1u << 16;

const Npy& named(const std::map<std::string, Npy>& arrays, const std::string& name, const std::string& type,
                 std::size_t dimensions) {
    const auto found = arrays.find(name);
    if (found == arrays.end()) throw std::runtime_error("it has no array \"" + name + "\"");
    if (found->second.type.compare(0, type.size(), type) != 0 || found->second.shape.size() != dimensions) {
        throw std::runtime_error("its array \"" + name + "\" must be " + type + " with " + std::to_string(dimensions) +
                                 " dimensions, got " + found->second.type + " with " +
                                 std::to_string(found->second.shape.size()));
    }
    return found->second;
}

template <typename T>
constexpr const char* type_of();
template <>
constexpr const char* type_of<float>() { return "<f4"; }
template <>
constexpr const char* type_of<double>() { return "<f8"; }
template <>
constexpr const char* type_of<std::int64_t>() { return "<i8"; }

void append_utf8(std::string& text, std::uint32_t letter) {
    const auto byte = [&](std::uint32_t bits) { text += static_cast<char>(bits); };
    if (letter > 0x10FFFF || (letter >= 0xD800 && letter < 0xE000)) throw std::runtime_error("a text of it is no Unicode");
    if (letter < 0x80) return byte(letter);
    if (letter >= 0x10000) {
        byte(0xF0 | letter >> 18);
        byte(0x80 | (letter >> 12 & 63));
    } else if (letter >= 0x800) {
        byte(0xE0 | letter >> 12);
    } else {
        byte(0xC0 | letter >> 6);
    }
    if (letter >= 0x800) byte(0x80 | (letter >> 6 & 63));
    byte(0x80 | (letter & 63));
}

}  // namespace

std::map<std::string, Npy> read_npz(const std::string& path) {
    std::map<std::string, Npy> arrays;
    const Zip zip(path);
    for (const ZipEntry& entry : zip.entries()) {
        if (entry.is_folder) continue;
        if (entry.size > kLargest) throw std::runtime_error("an array is too large");
        std::string data;
        zip.read(entry.name, kLargest, kChunk, [&](const char* bytes, std::size_t size) { data.append(bytes, size); });
        arrays.emplace(entry.name.substr(0, entry.name.rfind('.')), parse_npy(data));
    }
    return arrays;
}

template <typename T>
std::vector<T> numbers(const std::map<std::string, Npy>& arrays, const std::string& name, std::size_t dimensions) {
    const Npy& array = named(arrays, name, type_of<T>(), dimensions);
    std::vector<T> found(element_count(array.shape));
    if (!found.empty()) std::memcpy(found.data(), array.data.data(), array.data.size());
    return found;
}

template std::vector<float> numbers<float>(const std::map<std::string, Npy>&, const std::string&, std::size_t);
template std::vector<double> numbers<double>(const std::map<std::string, Npy>&, const std::string&, std::size_t);
template std::vector<std::int64_t> numbers<std::int64_t>(const std::map<std::string, Npy>&, const std::string&, std::size_t);

std::vector<std::string> texts(const std::map<std::string, Npy>& arrays, const std::string& name, std::size_t dimensions) {
    const Npy& array = named(arrays, name, "<U", dimensions);
    const std::size_t count = element_count(array.shape);
    const std::size_t longest = count == 0 ? 0 : array.data.size() / count / 4;
    std::vector<std::string> found(count);
    for (std::size_t i = 0; i < count * longest; ++i) {
        std::uint32_t letter = 0;
        for (std::size_t byte = 4; byte-- > 0;) letter = letter << 8 | static_cast<unsigned char>(array.data[4 * i + byte]);
        if (letter != 0) append_utf8(found[i / longest], letter);
    }
    return found;
}

std::string letters(const std::map<std::string, Npy>& arrays, const std::string& name) {
    return named(arrays, name, "|u1", 1).data;
}

}  // namespace vljepa
