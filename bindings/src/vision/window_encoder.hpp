#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vision/shots.hpp"
#include "vision/vision.hpp"
#include "vision/window.hpp"

namespace vljepa {

/// The last frames of one stream, each encoded once, and what is predicted of their window. The window restarts with the
/// frame after a hard cut.
///
/// A frame that repeats the one before, pixel for pixel, is not encoded, and a window that holds nothing else has the
/// embeddings that it had: for `max_idle` seconds, then all is computed again.
class WindowEncoder {
  public:
    WindowEncoder(const Vision& vision, double max_idle);

    /// Encodes a frame, uint8 (height, width, 3), and adds it. Throws EngineError.
    void push(const std::uint8_t* frame, double time);
    /// The embedding of unit norm that is predicted for a query, by its text. Throws EngineError.
    const std::vector<float>& embed(const Query& query);
    /// Seconds of the window's oldest frame.
    double oldest() const { return window_.oldest(); }
    /// How often graphs were run.
    std::int64_t runs() const { return runs_; }
    /// Forgets the frames and keeps the memory.
    void clear();

  private:
    bool is_repeated(const std::uint8_t* frame) const;
    void forget_window();

    const Vision& vision_;
    double max_idle_;
    std::size_t size_;
    Window window_;
    ShotDetector shots_;
    Outputs features_;                // of the newest frame that was encoded
    std::vector<std::uint8_t> newest_;  // that frame; empty where there is none
    double encoded_at_ = 0.0;         // its time
    std::size_t same_ = 0;            // how many of the newest frames are one and the same; the first fills the window
    bool is_encoded_ = false;         // whether clip_ is of the window as it is
    Outputs clip_;
    std::map<std::string, std::vector<float>> embeddings_;  // of clip_
    std::int64_t runs_ = 0;
};

}  // namespace vljepa
