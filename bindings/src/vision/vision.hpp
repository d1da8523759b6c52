#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vljepa/engine.hpp"
#include "vljepa/manifest.hpp"
#include "vljepa/model.hpp"

namespace vljepa {

/// What calls of one stream take and give: kept, so that they take no memory once they have run.
struct Calls {
    std::vector<Input> frame;
    std::vector<std::vector<Input>> clips;  // of each clip graph
    std::vector<Input> predictor;
    Outputs predicted;
    Input pooled;
};

/// X-encoder and predictor graphs of one bundle. Holds no state; safe from many threads.
class Vision {
  public:
    Vision(const Manifest& manifest, const std::map<std::string, std::shared_ptr<Graph>>& graphs);

    const VideoEntry& video() const { return video_; }
    /// Names of what the window keeps of each frame, in their order: outputs of frame graphs, "frames" for its pixels.
    const std::vector<std::string>& kept() const { return kept_; }

    /// What the window keeps of a frame, uint8 (height, width, 3).
    void encode_frame(const std::uint8_t* frame, Outputs& features, Calls& calls) const;
    /// The outputs of the clip graphs on a window, whose features are [1, window, ...].
    void encode_clip(const std::vector<Input>& window, Outputs& features, Calls& calls) const;
    /// The embedding of unit norm that is predicted for a query. Throws EngineError when it is not finite or zero.
    void predict(const std::vector<Input>& window, const Outputs& clip, const Query& query, std::vector<float>& embedding,
                 Calls& calls) const;
    /// What the predictor takes of vision as one row of numbers, which heads read: see pooling.hpp. Throws EngineError when
    /// it is not finite.
    void pool(const std::vector<Input>& window, const Outputs& clip, std::vector<float>& row, Calls& calls) const;

  private:
    struct Call {
        std::shared_ptr<Graph> graph;
        const GraphEntry* entry;
    };

    VideoEntry video_;
    std::size_t width_;
    std::vector<Call> frame_graphs_;
    std::vector<Call> clip_graphs_;
    Call predictor_;
    std::vector<std::string> kept_;
    Shape frame_shape_;
};

}  // namespace vljepa
