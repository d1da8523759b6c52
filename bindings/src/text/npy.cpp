#include "text/npy.hpp"

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace vljepa {

namespace {

constexpr std::size_t kPreamble = 10;
constexpr std::int64_t kMostElements = std::int64_t{1} << 32;

// What stands between `before` and `after` in a text.
std::string between(const std::string& text, const std::string& before, char after) {
    const std::size_t first = text.find(before);
    const std::size_t last = first == std::string::npos ? first : text.find(after, first + before.size());
    if (last == std::string::npos) throw std::runtime_error("the header of a .npy lacks " + before);
    return text.substr(first + before.size(), last - first - before.size());
}

Shape shape_of(const std::string& text) {
    Shape shape;
    std::int64_t count = 1;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at;
        while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
        if (end == at || end - at > 9 || (end < text.size() && text[end] != ',')) {
            throw std::runtime_error("the shape of a .npy is damaged");
        }
        shape.push_back(std::stoll(text.substr(at, end - at)));
        if (shape.back() > 0 && count > kMostElements / shape.back()) throw std::runtime_error("a .npy is too large");
        count *= shape.back();
        at = end + 1;
    }
    return shape;
}

}  // namespace

Npy parse_npy(const std::string& data) {
    if (data.size() < kPreamble || data.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) != 0) {
        throw std::runtime_error("it is not a .npy of version 1.0");
    }
    const std::size_t length =
        static_cast<unsigned char>(data[8]) | static_cast<std::size_t>(static_cast<unsigned char>(data[9])) << 8;
    if (length > data.size() - kPreamble) throw std::runtime_error("the header of a .npy ends early");
    std::string header = data.substr(kPreamble, length);
    header.erase(std::remove_if(header.begin(), header.end(), [](char c) { return c == ' ' || c == '\n'; }), header.end());
    if (header.find("'fortran_order':False") == std::string::npos) throw std::runtime_error("a .npy must be in C order");
    Npy found;
    found.type = between(header, "'descr':'", '\'');
    found.shape = shape_of(between(header, "'shape':(", ')'));
    found.data = data.substr(kPreamble + length);
    if (found.type.size() < 3 || std::isdigit(static_cast<unsigned char>(found.type[2])) == 0) {
        throw std::runtime_error("a .npy is of the type " + found.type + ", which has no size");
    }
    const std::size_t size = static_cast<std::size_t>(std::stoul(found.type.substr(2, 6)));
    const std::size_t bytes = found.type[1] == 'U' ? 4 * size : size;  // of letters
    if (found.data.size() != element_count(found.shape) * bytes) throw std::runtime_error("a .npy has another length");
    return found;
}

}  // namespace vljepa
