#include "vljepa/head.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "vljepa/error.hpp"

namespace vljepa {

namespace {

constexpr double kLongestHold = 86400.0;

bool all_finite(const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

Hysteresis::Hysteresis(const HysteresisOptions& options) : options_(options) {
    if (!(options.begin >= 0.0 && options.begin <= 1.0)) throw InputError("begin must be 0 to 1, a probability");
    if (!(options.end >= 0.0 && options.end <= options.begin)) throw InputError("end must be 0 to begin");
    if (!(options.hold >= 0.0 && options.hold <= kLongestHold)) throw InputError("hold must be 0 to 86400 seconds");
}

std::optional<Occurrence> Hysteresis::push(double probability, double time, double at) {
    const double jitter = newest_ ? (time - *newest_) / 4 : 0.0;
    newest_ = time;
    if (probability >= (since_ ? options_.end : options_.begin)) {
        if (!since_) {
            since_ = time;
            start_ = at;
        }
        last_ = at;
        low_.reset();
        peak_ = std::max(peak_, probability);
        if (begun_ || time - *since_ < options_.hold - jitter) return std::nullopt;
        begun_ = true;
        return Occurrence{start_, std::nullopt, peak_};
    }
    if (!begun_) {
        forget();
        return std::nullopt;
    }
    if (!low_) low_ = time;
    if (time - *low_ < options_.hold - jitter) return std::nullopt;
    return finish();
}

std::optional<Occurrence> Hysteresis::finish() {
    std::optional<Occurrence> ended;
    if (begun_) ended = Occurrence{start_, last_, peak_};
    forget();
    return ended;
}

void Hysteresis::reset() {
    newest_.reset();
    forget();
}

void Hysteresis::forget() {
    begun_ = false;
    since_.reset();
    low_.reset();
    peak_ = 0.0;
}

Head::Head(std::vector<float> weights, std::vector<float> bias, double slope, double offset)
    : weights_(std::move(weights)), bias_(std::move(bias)), slope_(slope), offset_(offset) {
    if (bias_.empty() || weights_.empty() || weights_.size() % bias_.size() != 0) {
        throw InputError("weights must be a row for each bias");
    }
    if (!all_finite(weights_) || !all_finite(bias_)) throw InputError("weights and bias must be finite");
    if (!(std::isfinite(slope) && slope >= 0.0 && std::isfinite(offset))) {
        throw InputError("slope must be a number of at least 0, and offset a number");
    }
}

void Head::probabilities(const float* features, double* out) const {
    const std::size_t width = this->width();
    for (std::size_t label = 0; label < labels(); ++label) {
        const float* row = weights_.data() + label * width;
        double score = bias_[label];
#pragma omp simd reduction(+ : score)
        for (std::size_t i = 0; i < width; ++i) score += static_cast<double>(row[i]) * static_cast<double>(features[i]);
        out[label] = 1.0 / (1.0 + std::exp(-(slope_ * score + offset_)));
    }
}

}  // namespace vljepa
