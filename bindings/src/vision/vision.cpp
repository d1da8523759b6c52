#include "vision/vision.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "text/texts.hpp"
#include "vision/pooling.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

constexpr const char* kPixels = "frames";
constexpr const char* kTokens = "query_tokens";
constexpr const char* kMask = "query_mask";

const Input* find(const std::vector<Input>& inputs, const std::string& name) {
    const auto found = std::find_if(inputs.begin(), inputs.end(), [&](const Input& input) { return input.name == name; });
    return found == inputs.end() ? nullptr : &*found;
}

// Numbers of the window, or of what clip graphs made of it. Takes no memory where `input` had the same shape.
void give(const std::string& name, const std::vector<Input>& window, const Outputs& clip, Input& input) {
    if (const Input* kept = find(window, name)) {
        input = *kept;
        return;
    }
    const Output& made = clip.find(name)->second;
    input.name = name;
    input.type = made.type;
    input.shape = made.shape;
    input.data = made.bytes.data();
}

bool is_of_vision(const std::string& name) { return name != kTokens && name != kMask; }

}  // namespace

Vision::Vision(const Manifest& manifest, const std::map<std::string, std::shared_ptr<Graph>>& graphs)
    : video_(manifest.video),
      width_(static_cast<std::size_t>(manifest.embedding_width)),
      predictor_{graphs.at("predictor"), manifest.graph("predictor")},
      frame_shape_{1, manifest.video.height, manifest.video.width, 3} {
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

void Vision::encode_frame(const std::uint8_t* frame, Outputs& features, Calls& calls) const {
    if (features.empty()) {
        for (const std::string& name : kept_) features.try_emplace(name);
        const auto pixels = features.find(kPixels);
        if (pixels != features.end()) pixels->second.reshape(DataType::u8, frame_shape_);
        calls.frame.assign(1, {"frame", DataType::u8, frame_shape_, nullptr});
    }
    const auto pixels = features.find(kPixels);
    if (pixels != features.end()) {
        const auto* bytes = reinterpret_cast<const std::byte*>(frame);
        std::copy(bytes, bytes + pixels->second.bytes.size(), pixels->second.bytes.begin());
    }
    calls.frame.front().data = frame;
    for (const Call& call : frame_graphs_) call.graph->run(calls.frame, features);
}

void Vision::encode_clip(const std::vector<Input>& window, Outputs& features, Calls& calls) const {
    calls.clips.resize(clip_graphs_.size());
    for (std::size_t i = 0; i < clip_graphs_.size(); ++i) {
        const GraphEntry& entry = *clip_graphs_[i].entry;
        std::vector<Input>& inputs = calls.clips[i];
        inputs.resize(entry.inputs.size());
        for (std::size_t k = 0; k < inputs.size(); ++k) inputs[k] = *find(window, entry.inputs[k].name);
        for (const TensorSpec& tensor : entry.outputs) features.try_emplace(tensor.name);
        clip_graphs_[i].graph->run(inputs, features);
    }
}

void Vision::predict(const std::vector<Input>& window, const Outputs& clip, const Query& query,
                     std::vector<float>& embedding, Calls& calls) const {
    const auto length = static_cast<std::int64_t>(query.mask.size());
    const std::vector<TensorSpec>& asked = predictor_.entry->inputs;
    calls.predictor.resize(asked.size());
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const std::string& name = asked[i].name;
        Input& input = calls.predictor[i];
        if (is_of_vision(name)) {
            give(name, window, clip, input);
            continue;
        }
        const bool is_mask = name == kMask;
        input.name = name;
        input.type = is_mask ? DataType::i64 : DataType::f32;
        input.shape.assign({1, length});
        if (!is_mask) input.shape.push_back(query.width);
        input.data = is_mask ? static_cast<const void*>(query.mask.data()) : query.tokens.data();
    }
    Output& predicted = calls.predicted.try_emplace("embedding").first->second;
    predictor_.graph->run(calls.predictor, calls.predicted);
    embedding.resize(width_);
    unit("predictor", predicted.floats(), width_, embedding.data());
}

void Vision::pool(const std::vector<Input>& window, const Outputs& clip, std::vector<float>& row, Calls& calls) const {
    row.clear();
    for (const TensorSpec& tensor : predictor_.entry->inputs) {
        if (!is_of_vision(tensor.name)) continue;
        give(tensor.name, window, clip, calls.pooled);
        pool_stream(calls.pooled, row);
    }
    if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); })) {
        throw EngineError("x_encoder: the embedding is not finite; its numbers overflow at this precision, try f32");
    }
}

}  // namespace vljepa
