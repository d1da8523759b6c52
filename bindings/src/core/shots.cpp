#include "core/shots.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "vljepa/vector_math.hpp"

namespace vljepa {

namespace {

constexpr std::size_t kCell = 8;  // pixels: one pixel of each cell is compared
constexpr int kChanged = 24;      // of 255, in any channel
// A change is the share of the picture that changed, times the cosine distance of the features. Measured a quarter of a
// second apart: cuts between photographs 0.5 to 1, between flat drawings from 0.16 on; objects that appear 0.01 to 0.1; a
// hand-held camera in traffic up to 0.58.
constexpr double kLeast = 0.15;
constexpr double kMotion = 2.0;  // times the largest change of the shot's last frames
constexpr double kCertain = 0.6;

// 0 to 2; 0 where either has no direction.
double cosine_distance(const float* a, const float* b, std::size_t count) {
    const double norms = std::sqrt(squared_norm(a, count) * squared_norm(b, count));
    return norms > 0.0 && std::isfinite(norms) ? 1.0 - dot(a, b, count) / norms : 0.0;
}

// The share of cells whose pixels differ.
double share_changed(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
    std::size_t changed = 0;
    for (std::size_t i = 0; i < a.size(); i += 3) {
        int most = 0;
        for (std::size_t c = i; c < i + 3; ++c) most = std::max(most, std::abs(int{a[c]} - int{b[c]}));
        changed += most > kChanged ? 1 : 0;
    }
    return a.empty() ? 0.0 : static_cast<double>(changed) / (static_cast<double>(a.size()) / 3.0);
}

}  // namespace

bool ShotDetector::begins(const std::uint8_t* frame, std::size_t width, std::size_t height, const std::vector<Row>& features) {
    new_pixels_.clear();
    for (std::size_t y = kCell / 2; y < height; y += kCell) {
        for (std::size_t x = kCell / 2; x < width; x += kCell) {
            const std::uint8_t* pixel = frame + 3 * (y * width + x);
            new_pixels_.insert(new_pixels_.end(), pixel, pixel + 3);
        }
    }
    const bool is_first = !has_frame_ || pixels_.size() != new_pixels_.size();
    features_.resize(features.size());
    double distance = 0.0;
    for (std::size_t i = 0; i < features.size(); ++i) {
        const Row& row = features[i];
        if (!is_first && features_[i].size() == row.count) {
            distance = std::max(distance, cosine_distance(row.data, features_[i].data(), row.count));
        }
        features_[i].assign(row.data, row.data + row.count);
    }
    pixels_.swap(new_pixels_);
    has_frame_ = true;
    if (is_first) return false;
    const double change = share_changed(pixels_, new_pixels_) * distance;
    const double motion = changes_.empty() ? 0.0 : *std::max_element(changes_.begin(), changes_.end());
    if (change >= std::min(kCertain, kLeast + kMotion * motion)) return true;
    changes_.push_back(change);
    if (changes_.size() > frames_) changes_.erase(changes_.begin());
    return false;
}

void ShotDetector::clear() {
    has_frame_ = false;
    changes_.clear();
}

}  // namespace vljepa
