#include "vision/pooling.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "bundle/sha256.hpp"

namespace vljepa {

namespace {

constexpr std::size_t kMostKept = 4096;
constexpr int kPooling = 1;  // raised when pool_stream() changes

float number(const Input& stream, std::size_t place) {
    if (stream.type == DataType::f32) return static_cast<const float*>(stream.data)[place];
    if (stream.type == DataType::u8) return static_cast<float>(static_cast<const std::uint8_t*>(stream.data)[place]);
    return static_cast<float>(static_cast<const std::int64_t*>(stream.data)[place]);
}

// The mean of a channel over `count` rows from row `first` on.
double mean(const Input& stream, std::size_t first, std::size_t count, std::size_t channel, std::size_t channels) {
    double sum = 0.0;
    for (std::size_t row = first; row < first + count; ++row) sum += static_cast<double>(number(stream, row * channels + channel));
    return sum / static_cast<double>(count);
}

// As Python's json writes a text of ASCII.
std::string quoted(const std::string& text) {
    std::string found = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') found += '\\';
        found += c;
    }
    return found + '"';
}

// As Python writes a float from 0.001 to 1000.
std::string shortest(double value) {
    std::array<char, 400> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed).ptr;
    std::string found(text.data(), end);
    return found.find('.') == std::string::npos ? found + ".0" : found;
}

}  // namespace

void pool_stream(const Input& stream, std::vector<float>& row) {
    const std::size_t count = element_count(stream.shape);
    const std::size_t channels = static_cast<std::size_t>(stream.shape.back());
    const bool has_time = stream.shape.size() > 2;
    if (count <= kMostKept) {
        for (std::size_t i = 0; i < count; ++i) row.push_back(number(stream, i));
        return;
    }
    const std::size_t rows = count / channels;
    for (std::size_t c = 0; c < channels; ++c) row.push_back(static_cast<float>(mean(stream, 0, rows, c, channels)));
    const std::size_t times = has_time ? static_cast<std::size_t>(stream.shape[1]) : 1;
    if (times < 2) return;
    const std::size_t half = times / 2 * (rows / times);
    for (std::size_t c = 0; c < channels; ++c) {
        row.push_back(static_cast<float>(mean(stream, rows - half, half, c, channels) - mean(stream, 0, half, c, channels)));
    }
}

std::string encoder_digest(const Manifest& manifest) {
    std::map<std::string, std::string> graphs;
    for (const GraphEntry& entry : manifest.graphs) {
        if (entry.role.rfind("x_encoder_", 0) == 0) graphs[entry.role] = entry.entry.sha256;
    }
    std::string about = "{\"graphs\": {";
    for (const auto& [role, sha256] : graphs) {
        about += (about.back() == '{' ? "" : ", ") + quoted(role) + ": " + quoted(sha256);
    }
    about += "}, \"pooling\": " + std::to_string(kPooling) + ", \"streams\": [";
    for (const TensorSpec& tensor : manifest.graph("predictor")->inputs) {
        if (tensor.name == "query_tokens" || tensor.name == "query_mask") continue;
        about += (about.back() == '[' ? "" : ", ") + quoted(tensor.name);
    }
    const VideoEntry& video = manifest.video;
    about += "], \"video\": [" + std::to_string(video.width) + ", " + std::to_string(video.height) + ", ";
    about += video.resize == Resize::cover ? "\"cover\", " : "\"stretch\", ";
    about += shortest(video.fps) + ", " + std::to_string(video.window) + "]}";
    Sha256 hash;
    hash.add(about.data(), about.size());
    return hash.hex();
}

}  // namespace vljepa
