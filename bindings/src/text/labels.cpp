#include "vljepa/labels.hpp"

#include <algorithm>
#include <cmath>

#include "vljepa/error.hpp"
#include "vljepa/vector_math.hpp"

namespace vljepa {

namespace {

constexpr double kLeastSpread = 1e-6;  // of cosines: below it they differ by rounding

}  // namespace

Labels::Labels(std::vector<std::string> names, Query asked, std::vector<float> rows, std::size_t width,
               Calibrator calibrator)
    : names_(std::move(names)),
      asked_(std::move(asked)),
      rows_(std::move(rows)),
      width_(width),
      calibrator_(std::move(calibrator)) {
    if (names_.empty() || width_ == 0 || rows_.size() % width_ != 0 || rows_.size() / width_ <= names_.size()) {
        throw InputError("labels must have a row each, and a bank of names behind them");
    }
    if (!std::all_of(rows_.begin(), rows_.end(), [](float x) { return std::isfinite(x); })) {
        throw InputError("the rows of labels must be finite");
    }
}

void Labels::probabilities(const std::vector<float>& embedding, std::vector<double>& found) const {
    const std::size_t count = rows_.size() / width_;
    const std::size_t labels = names_.size();
    double sum = 0.0;
    double squares = 0.0;
    for (std::size_t row = labels; row < count; ++row) {
        const double cosine = dot(rows_.data() + row * width_, embedding.data(), width_);
        sum += cosine;
        squares += cosine * cosine;
    }
    const auto others = static_cast<double>(count - labels);
    const double mean = sum / others;
    const double spread = std::max(std::sqrt(std::max(0.0, squares / others - mean * mean)), kLeastSpread);
    found.resize(labels);
    for (std::size_t i = 0; i < labels; ++i) {
        const double cosine = dot(rows_.data() + i * width_, embedding.data(), width_);
        found[i] = calibrator_.probability((cosine - mean) / spread);
    }
}

}  // namespace vljepa
