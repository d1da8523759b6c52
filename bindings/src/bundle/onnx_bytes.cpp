#include "bundle/onnx_bytes.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <utility>

namespace vljepa {

namespace {

// Messages of onnx.proto3 that can hold a tensor, by the field that holds the next one.
enum class Message { model, training, function, graph, node, attribute, sparse_tensor, tensor };

const std::map<Message, std::map<std::uint64_t, Message>>& held() {
    static const std::map<Message, std::map<std::uint64_t, Message>> kHeld{
        {Message::model, {{7, Message::graph}, {20, Message::training}, {25, Message::function}}},
        {Message::training, {{1, Message::graph}, {2, Message::graph}}},
        {Message::function, {{7, Message::node}, {11, Message::attribute}}},
        {Message::graph, {{1, Message::node}, {5, Message::tensor}, {15, Message::sparse_tensor}}},
        {Message::node, {{5, Message::attribute}}},
        {Message::attribute,
         {{5, Message::tensor},
          {6, Message::graph},
          {10, Message::tensor},
          {11, Message::graph},
          {22, Message::sparse_tensor},
          {23, Message::sparse_tensor}}},
        {Message::sparse_tensor, {{1, Message::tensor}, {2, Message::tensor}}},
    };
    return kHeld;
}

constexpr std::uint64_t kModelGraph = 7, kGraphInput = 11, kInputName = 1;
constexpr std::uint64_t kTensorName = 8, kExternalData = 13, kDataLocation = 14;
constexpr std::uint64_t kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

std::uint64_t varint(std::string_view message, std::size_t& at) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (at >= message.size()) throw std::runtime_error("it ends in the middle of a number");
        const auto byte = static_cast<unsigned char>(message[at++]);
        if (shift < 64) value |= static_cast<std::uint64_t>(byte & 127) << shift;
        if (byte < 128) return value;
    }
    throw std::runtime_error("a number is longer than 10 bytes");
}

// Calls on_number(field, value) or on_bytes(field, bytes) for each field of a message.
void each_field(std::string_view message, const std::function<void(std::uint64_t, std::uint64_t)>& on_number,
                const std::function<void(std::uint64_t, std::string_view)>& on_bytes) {
    std::size_t at = 0;
    while (at < message.size()) {
        const std::uint64_t key = varint(message, at);
        const std::uint64_t field = key >> 3;
        const std::uint64_t wire = key & 7;
        if (wire == kVarint) {
            on_number(field, varint(message, at));
            continue;
        }
        std::uint64_t size = 0;
        if (wire == kBytes) {
            size = varint(message, at);
        } else if (wire == kFixed64 || wire == kFixed32) {
            size = wire == kFixed64 ? 8 : 4;
        } else {
            throw std::runtime_error("wire type " + std::to_string(wire) + " at byte " + std::to_string(at));
        }
        if (field == 0 || size > message.size() - at) {
            throw std::runtime_error("a field of " + std::to_string(size) + " bytes at byte " + std::to_string(at) +
                                     " of " + std::to_string(message.size()));
        }
        on_bytes(field, message.substr(at, size));
        at += size;
    }
}

void ignore_number(std::uint64_t, std::uint64_t) {}

}  // namespace

std::vector<std::string> external_weights(std::string_view model) {
    bool has_graph = false;
    each_field(model, ignore_number, [&](std::uint64_t field, std::string_view graph) {
        if (field != kModelGraph) return;
        has_graph = true;
        each_field(graph, ignore_number, [](std::uint64_t, std::string_view) {});  // complete, at least at the top
    });
    if (!has_graph) throw std::runtime_error("it holds no graph");

    std::vector<std::string> found;
    std::vector<std::pair<Message, std::string_view>> waiting{{Message::model, model}};
    while (!waiting.empty()) {
        const auto [kind, message] = waiting.back();
        waiting.pop_back();
        if (kind != Message::tensor) {
            const auto& inside = held().at(kind);
            each_field(message, ignore_number, [&](std::uint64_t field, std::string_view bytes) {
                const auto next = inside.find(field);
                if (next != inside.end()) waiting.emplace_back(next->second, bytes);
            });
            continue;
        }
        bool is_external = false;
        std::string name;
        each_field(
            message,
            [&](std::uint64_t field, std::uint64_t value) {
                is_external = is_external || field == kExternalData || (field == kDataLocation && value != 0);
            },
            [&](std::uint64_t field, std::string_view bytes) {
                is_external = is_external || field == kExternalData || field == kDataLocation;
                if (field == kTensorName) name = bytes;
            });
        if (is_external) found.push_back(name);
    }
    return found;
}

std::vector<std::string> declared_inputs(std::string_view model) {
    std::vector<std::string> found;
    const auto on_input = [&](std::uint64_t field, std::string_view name) {
        if (field == kInputName) found.emplace_back(name);
    };
    const auto on_graph = [&](std::uint64_t field, std::string_view input) {
        if (field == kGraphInput) each_field(input, ignore_number, on_input);
    };
    each_field(model, ignore_number, [&](std::uint64_t field, std::string_view graph) {
        if (field == kModelGraph) each_field(graph, ignore_number, on_graph);
    });
    return found;
}

}  // namespace vljepa
