#include "vision/window_encoder.hpp"

#include <algorithm>
#include <cstring>

namespace vljepa {

WindowEncoder::WindowEncoder(const Vision& vision, double max_idle)
    : vision_(vision),
      max_idle_(max_idle),
      size_(static_cast<std::size_t>(vision.video().window)),
      window_(size_),
      shots_(vision.video().width, vision.video().height, size_) {}

void WindowEncoder::push(const std::uint8_t* frame, double time) {
    const bool repeats = is_repeated(frame);
    const double since = time - encoded_at_;
    if (!repeats || since < 0.0 || since > max_idle_) {
        newest_.clear();  // until it is encoded: a graph may fail
        vision_.encode_frame(frame, features_);
        const VideoEntry& video = vision_.video();
        newest_.assign(frame, frame + 3 * static_cast<std::size_t>(video.width) * static_cast<std::size_t>(video.height));
        encoded_at_ = time;
        forget_window();
        ++runs_;
    }
    if (shots_.begins(frame, features_)) window_.clear();
    window_.push(features_, time);
    if (!repeats || same_ < size_) forget_window();
    same_ = same_ == 0 ? size_ : repeats ? std::min(same_ + 1, size_) : 1;
}

const std::vector<float>& WindowEncoder::embed(const Query& query) {
    const std::vector<Input> seen = window_.stacked();
    if (!is_encoded_) {
        vision_.encode_clip(seen, clip_);
        is_encoded_ = true;
        ++runs_;
    }
    const auto known = embeddings_.find(query.text);
    if (known != embeddings_.end()) return known->second;
    std::vector<float> made = vision_.predict(seen, clip_, query);
    ++runs_;
    return embeddings_[query.text] = std::move(made);
}

void WindowEncoder::clear() {
    window_.clear();
    shots_.clear();
    newest_.clear();
    same_ = 0;
    forget_window();
}

bool WindowEncoder::is_repeated(const std::uint8_t* frame) const {
    return max_idle_ > 0.0 && !newest_.empty() && std::memcmp(newest_.data(), frame, newest_.size()) == 0;
}

void WindowEncoder::forget_window() {
    is_encoded_ = false;
    embeddings_.clear();
}

}  // namespace vljepa
