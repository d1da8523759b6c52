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

/// X-encoder and predictor graphs of one bundle. Holds no state; safe from many threads.
class Vision {
  public:
    Vision(const Manifest& manifest, const std::map<std::string, std::shared_ptr<Graph>>& graphs);

    const VideoEntry& video() const { return video_; }
    /// Names of what the window keeps of each frame, in their order: outputs of frame graphs, "frames" for its pixels.
    const std::vector<std::string>& kept() const { return kept_; }

    /// What the window keeps of a frame, uint8 (height, width, 3).
    void encode_frame(const std::uint8_t* frame, Outputs& features) const;
    /// The outputs of the clip graphs on a window, whose features are [1, window, ...].
    void encode_clip(const std::vector<Input>& window, Outputs& features) const;
    /// The embedding of unit norm that is predicted for a query. Throws EngineError when it is not finite or zero.
    std::vector<float> predict(const std::vector<Input>& window, const Outputs& clip, const Query& query) const;

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
};

}  // namespace vljepa
