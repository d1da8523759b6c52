#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/still.hpp"
#include "core/shots.hpp"
#include "vision/vision.hpp"
#include "vision/window.hpp"

namespace vljepa {

/// What is predicted for one query, kept by whoever asks.
struct Prediction {
    std::vector<float> embedding;  // unit norm
    std::int64_t window = -1;      // of which window it is; see WindowEncoder
};

/// The last frames of one stream, each encoded once, and what is predicted of their window. The window restarts with the
/// frame after a hard cut.
///
/// A frame that is as the one encoded last (see Still) is not encoded, and a window that holds nothing else has the
/// embeddings that it had: for `max_idle` seconds, then all is computed again.
class WindowEncoder {
  public:
    /// `still`: levels of 255 by which a block of a frame may differ; 0: no pixel may.
    WindowEncoder(const Vision& vision, double max_idle, double still);

    /// Encodes a frame, uint8 (height, width, 3), and adds it. Throws EngineError.
    void push(const std::uint8_t* frame, double time);
    /// Runs the clip graphs on the window, once a push. Throws EngineError.
    void encode();
    /// Predicts for a query, unless `kept` is of this window already. Throws EngineError.
    void embed(const Query& query, Prediction& kept);
    /// Vision::pool of the last frames, also of those before a hard cut: it may be the very thing that is looked for. Where
    /// a cut lies among them clip graphs run a second time. Throws EngineError.
    const std::vector<float>& pooled();

    /// Seconds of the window's oldest frame, and of the oldest of pooled().
    double oldest() const { return window_.oldest(); }
    double pooled_oldest() const { return across_ ? across_->oldest() : oldest(); }
    /// How often graphs were run.
    std::int64_t runs() const { return runs_; }
    /// Forgets the frames and keeps the memory.
    void clear();

  private:
    void forget_window();
    bool begins_shot(const std::uint8_t* frame);

    const Vision& vision_;
    Still still_;
    Window window_;
    std::optional<Window> across_;  // the same frames, and those before a hard cut; kept once it is asked for
    ShotDetector shots_;
    std::vector<ShotDetector::Row> rows_;     // of the newest frame's features
    std::vector<std::vector<float>> floats_;  // of those that are no floats
    Calls calls_;
    Outputs features_;                // of the newest frame that was encoded
    std::int64_t window_number_ = 0;  // counts the windows that differ
    std::int64_t encoded_ = -1;       // of which window clip_ is
    Outputs clip_;
    std::int64_t pooled_of_ = -1;  // of which window pooled_ is
    std::vector<float> pooled_;
    Outputs clip_across_;
    std::int64_t runs_ = 0;
};

}  // namespace vljepa
