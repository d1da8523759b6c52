#include "vljepa/sampler.hpp"

#include <algorithm>
#include <cmath>

namespace vljepa {

namespace {

constexpr double kLatestTime = 1e12;
constexpr double kLongestDisorder = 10.0;  // seconds; frames of one clock don't come that late

}  // namespace

Grid::Grid(std::optional<double> fps, double early)
    : fps_(fps), early_(early), rounding_(fps ? std::min(kRounding, 0.1 / *fps) : 0.0) {}

bool Grid::takes(double time) {
    const bool due = is_due(time);
    if (due) take(time);
    return due;
}

bool Grid::is_due(double time) {
    if (time < newest_) {
        first_ = newest_ = time;
        due_ = 0.0;
    }
    const double since = time - newest_;
    newest_ = time;
    const double early = fps_ ? early_ * std::min(since, 1.0 / *fps_) : 0.0;
    return step(time, std::max(rounding_, early)) >= due_;
}

void Grid::take(double time) { due_ = std::max(due_, step(time, rounding_)) + 1.0; }

void Grid::restart() { first_ = newest_ = std::numeric_limits<double>::infinity(); }

double Grid::step(double time, double slack) const {
    return fps_ ? std::floor((time - first_ + slack) * *fps_) : std::numeric_limits<double>::infinity();
}

Sampler::Sampler(double fps, double gap) : grid_(fps, kEarly), gap_(gap) {}

void Sampler::restart() {
    newest_ = -std::numeric_limits<double>::infinity();
    grid_.restart();
}

Verdict Sampler::judge(double time) {
    if (!std::isfinite(time) || std::abs(time) > kLatestTime) return Verdict::bad;
    if (time == newest_) return Verdict::repeated;
    if (newest_ - std::min(gap_, kLongestDisorder) <= time && time < newest_) return Verdict::backwards;
    Verdict verdict = time < newest_ ? Verdict::restart : Verdict::due;
    if (std::isfinite(newest_) && time - newest_ > gap_) verdict = Verdict::gap;
    newest_ = time;
    return grid_.is_due(time) ? verdict : Verdict::skipped;
}

}  // namespace vljepa
