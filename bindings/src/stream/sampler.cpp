#include "vljepa/sampler.hpp"

#include <algorithm>
#include <cmath>

namespace vljepa {

namespace {

constexpr double kLatestTime = 1e12;
constexpr double kEarly = 0.25;     // the share of the time since the frame before by which a frame may come early
constexpr double kRounding = 1e-3;  // seconds: containers round stamps, Matroska to a millisecond

}  // namespace

Sampler::Sampler(double fps, double gap) : fps_(fps), gap_(gap) {}

void Sampler::restart() {
    newest_ = -std::numeric_limits<double>::infinity();
    grid_first_ = grid_newest_ = std::numeric_limits<double>::infinity();
    due_ = 0.0;
}

Verdict Sampler::judge(double time) {
    if (!std::isfinite(time) || std::abs(time) > kLatestTime) return Verdict::bad;
    if (time == newest_) return Verdict::repeated;
    if (newest_ - gap_ <= time && time < newest_) return Verdict::backwards;
    Verdict verdict = time < newest_ ? Verdict::restart : Verdict::due;
    if (std::isfinite(newest_) && time - newest_ > gap_) verdict = Verdict::gap;
    newest_ = time;
    return is_due(time) ? verdict : Verdict::skipped;
}

void Sampler::take(double time) { due_ = std::max(due_, step(time, std::min(kRounding, 0.1 / fps_))) + 1.0; }

bool Sampler::is_due(double time) {
    if (time < grid_newest_) {
        grid_first_ = grid_newest_ = time;
        due_ = 0.0;
    }
    const double since = time - grid_newest_;
    grid_newest_ = time;
    const double early = kEarly * std::min(since, 1.0 / fps_);
    return step(time, std::max(std::min(kRounding, 0.1 / fps_), early)) >= due_;
}

double Sampler::step(double time, double slack) const { return std::floor((time - grid_first_ + slack) * fps_); }

}  // namespace vljepa
