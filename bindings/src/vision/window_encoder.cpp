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
        vision_.encode_frame(frame, features_, calls_);
        const VideoEntry& video = vision_.video();
        newest_.assign(frame, frame + 3 * static_cast<std::size_t>(video.width) * static_cast<std::size_t>(video.height));
        encoded_at_ = time;
        forget_window();
        ++runs_;
    }
    if (shots_.begins(frame, features_)) window_.clear();
    window_.push(features_, time);
    if (across_) across_->push(features_, time);
    if (!repeats || same_ < size_) forget_window();
    same_ = same_ == 0 ? size_ : repeats ? std::min(same_ + 1, size_) : 1;
}

void WindowEncoder::encode() {
    if (encoded_ == window_number_) return;
    vision_.encode_clip(window_.stacked(), clip_, calls_);
    encoded_ = window_number_;
    ++runs_;
}

void WindowEncoder::embed(const Query& query, Prediction& kept) {
    if (kept.window == window_number_) return;
    encode();
    kept.window = -1;  // until it is predicted: a graph may fail
    vision_.predict(window_.stacked(), clip_, query, kept.embedding, calls_);
    kept.window = window_number_;
    ++runs_;
}

const std::vector<float>& WindowEncoder::pooled() {
    if (pooled_of_ == window_number_) return pooled_;
    if (!across_) across_ = window_;
    if (across_->has_times_of(window_)) {
        encode();
        vision_.pool(window_.stacked(), clip_, pooled_, calls_);
    } else {
        vision_.encode_clip(across_->stacked(), clip_across_, calls_);
        ++runs_;
        vision_.pool(across_->stacked(), clip_across_, pooled_, calls_);
    }
    pooled_of_ = window_number_;
    return pooled_;
}

void WindowEncoder::clear() {
    window_.clear();
    if (across_) across_->clear();
    shots_.clear();
    newest_.clear();
    same_ = 0;
    forget_window();
}

bool WindowEncoder::is_repeated(const std::uint8_t* frame) const {
    return max_idle_ > 0.0 && !newest_.empty() && std::memcmp(newest_.data(), frame, newest_.size()) == 0;
}

void WindowEncoder::forget_window() { ++window_number_; }

}  // namespace vljepa
