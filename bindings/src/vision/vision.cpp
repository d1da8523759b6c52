#include "vision/vision.hpp"

#include <algorithm>
#include <set>

#include "text/texts.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

constexpr const char* kPixels = "frames";

const Input& named(const std::vector<Input>& inputs, const std::string& name) {
    return *std::find_if(inputs.begin(), inputs.end(), [&](const Input& input) { return input.name == name; });
}

bool has(const std::vector<Input>& inputs, const std::string& name) {
    return std::any_of(inputs.begin(), inputs.end(), [&](const Input& input) { return input.name == name; });
}

}  // namespace

Vision::Vision(const Manifest& manifest, const std::map<std::string, std::shared_ptr<Graph>>& graphs)
    : video_(manifest.video),
      width_(static_cast<std::size_t>(manifest.embedding_width)),
      predictor_{graphs.at("predictor"), manifest.graph("predictor")} {
    std::set<std::string> cached{kPixels};
    std::set<std::string> wanted;
    for (const TensorSpec& tensor : predictor_.entry->inputs) wanted.insert(tensor.name);
    for (const GraphEntry& entry : manifest.graphs) {
        if (entry.role.rfind("x_encoder_", 0) != 0) continue;
        if (entry.unit == Unit::frame) {
            frame_graphs_.push_back({graphs.at(entry.role), &entry});
            for (const TensorSpec& tensor : entry.outputs) cached.insert(tensor.name);
        } else {
            clip_graphs_.push_back({graphs.at(entry.role), &entry});
            for (const TensorSpec& tensor : entry.inputs) wanted.insert(tensor.name);
        }
    }
    std::set_intersection(wanted.begin(), wanted.end(), cached.begin(), cached.end(), std::back_inserter(kept_));
}

void Vision::encode_frame(const std::uint8_t* frame, Outputs& features) const {
    const Shape shape{1, video_.height, video_.width, 3};
    for (const std::string& name : kept_) features.try_emplace(name);
    const auto pixels = features.find(kPixels);
    if (pixels != features.end()) {
        pixels->second.reshape(DataType::u8, shape);
        const auto* bytes = reinterpret_cast<const std::byte*>(frame);
        std::copy(bytes, bytes + pixels->second.bytes.size(), pixels->second.bytes.begin());
    }
    for (const Call& call : frame_graphs_) call.graph->run({{"frame", DataType::u8, shape, frame}}, features);
}

void Vision::encode_clip(const std::vector<Input>& window, Outputs& features) const {
    for (const Call& call : clip_graphs_) {
        std::vector<Input> inputs;
        for (const TensorSpec& tensor : call.entry->inputs) inputs.push_back(named(window, tensor.name));
        for (const TensorSpec& tensor : call.entry->outputs) features.try_emplace(tensor.name);
        call.graph->run(inputs, features);
    }
}

std::vector<float> Vision::predict(const std::vector<Input>& window, const Outputs& clip, const Query& query) const {
    const auto length = static_cast<std::int64_t>(query.mask.size());
    std::vector<Input> inputs;
    for (const TensorSpec& tensor : predictor_.entry->inputs) {
        if (tensor.name == "query_tokens") {
            inputs.push_back({tensor.name, DataType::f32, {1, length, query.width}, query.tokens.data()});
        } else if (tensor.name == "query_mask") {
            inputs.push_back({tensor.name, DataType::i64, {1, length}, query.mask.data()});
        } else if (has(window, tensor.name)) {
            inputs.push_back(named(window, tensor.name));
        } else {
            const Output& made = clip.find(tensor.name)->second;
            inputs.push_back({tensor.name, made.type, made.shape, made.bytes.data()});
        }
    }
    Outputs outputs{{"embedding", {}}};
    predictor_.graph->run(inputs, outputs);
    return unit("predictor", outputs.begin()->second.floats(), width_);
}

}  // namespace vljepa
