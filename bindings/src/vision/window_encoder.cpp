#include "vision/window_encoder.hpp"

namespace vljepa {

WindowEncoder::WindowEncoder(const Vision& vision, double max_idle, double still)
    : vision_(vision),
      still_(static_cast<std::size_t>(vision.video().window), max_idle, still),
      window_(static_cast<std::size_t>(vision.video().window)),
      shots_(static_cast<std::size_t>(vision.video().window)) {}

void WindowEncoder::push(const std::uint8_t* frame, double time) {
    const auto width = static_cast<std::size_t>(vision_.video().width);
    const auto height = static_cast<std::size_t>(vision_.video().height);
    const bool repeats = still_.is_repeated(frame, width, height);
    const bool is_given = repeats && still_.is_fresh(time);
    if (!is_given) {
        still_.forget();  // until it is encoded: a graph may fail
        vision_.encode_frame(frame, features_, calls_);
        still_.keep(frame, width, height, time);
        forget_window();
        ++runs_;
    }
    if (begins_shot(frame)) window_.clear();
    window_.push(features_, time);
    if (across_) across_->push(features_, time);
    if (still_.count(repeats)) forget_window();
    if (repeats && !is_given) {  // the window stays that of one frame, which is the new one
        window_.renew(features_, still_.same());
        if (across_) across_->renew(features_, still_.same());
    }
}

bool WindowEncoder::begins_shot(const std::uint8_t* frame) {
    rows_.clear();
    floats_.resize(features_.size());
    for (const auto& [name, feature] : features_) {
        if (feature.type == DataType::f32) {
            rows_.push_back({feature.floats(), feature.count()});
            continue;
        }
        std::vector<float>& floats = floats_[rows_.size()];
        floats.clear();
        for (const std::byte value : feature.bytes) floats.push_back(static_cast<float>(std::to_integer<int>(value)));
        rows_.push_back({floats.data(), floats.size()});
    }
    const VideoEntry& video = vision_.video();
    return shots_.begins(frame, static_cast<std::size_t>(video.width), static_cast<std::size_t>(video.height), rows_);
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
    still_.clear();
    forget_window();
}

void WindowEncoder::forget_window() { ++window_number_; }

}  // namespace vljepa
