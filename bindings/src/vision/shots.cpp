#include "vision/shots.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace vljepa {

namespace {

constexpr int kCell = 8;      // pixels: one pixel of each cell is compared
constexpr int kChanged = 24;  // of 255, in any channel
// A change is the share of the picture that changed, times the cosine distance of the features.
constexpr double kLeast = 0.15;
constexpr double kMotion = 2.0;  // times the largest change of the shot's last frames
constexpr double kCertain = 0.6;

// 0 to 2; 0 where either has no direction.
double cosine_distance(const std::vector<float>& a, const std::vector<float>& b) {
    double both = 0.0;
    double first = 0.0;
    double second = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        both += static_cast<double>(a[i]) * static_cast<double>(b[i]);
        first += static_cast<double>(a[i]) * static_cast<double>(a[i]);
        second += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    }
    const double norms = std::sqrt(first * second);
    return norms > 0.0 && std::isfinite(norms) ? 1.0 - both / norms : 0.0;
}

void as_floats(const Output& feature, std::vector<float>& row) {
    row.clear();
    if (feature.type == DataType::f32) {
        row.insert(row.end(), feature.floats(), feature.floats() + feature.count());
        return;
    }
    for (const std::byte value : feature.bytes) row.push_back(static_cast<float>(std::to_integer<int>(value)));
}

}  // namespace

bool ShotDetector::begins(const std::uint8_t* frame, const Outputs& features) {
    new_pixels_.clear();
    for (int y = kCell / 2; y < height_; y += kCell) {
        for (int x = kCell / 2; x < width_; x += kCell) {
            const std::uint8_t* pixel = frame + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x));
            new_pixels_.insert(new_pixels_.end(), pixel, pixel + 3);
        }
    }
    for (const auto& [name, feature] : features) as_floats(feature, new_features_[name]);
    pixels_.swap(new_pixels_);
    features_.swap(new_features_);
    const std::vector<std::uint8_t>& pixels = new_pixels_;  // now of the frame before
    if (pixels.empty()) return false;

    std::size_t changed = 0;
    for (std::size_t i = 0; i < pixels.size(); i += 3) {
        int most = 0;
        for (std::size_t c = i; c < i + 3; ++c) most = std::max(most, std::abs(int{pixels[c]} - int{pixels_[c]}));
        changed += most > kChanged ? 1 : 0;
    }
    double distance = 0.0;
    for (const auto& [name, row] : new_features_) distance = std::max(distance, cosine_distance(row, features_[name]));
    const double change = static_cast<double>(changed) / (static_cast<double>(pixels.size()) / 3.0) * distance;
    const double motion = changes_.empty() ? 0.0 : *std::max_element(changes_.begin(), changes_.end());
    if (change >= std::min(kCertain, kLeast + kMotion * motion)) return true;
    changes_.push_back(change);
    if (changes_.size() > frames_) changes_.erase(changes_.begin());
    return false;
}

void ShotDetector::clear() {
    pixels_.clear();
    changes_.clear();
}

}  // namespace vljepa
