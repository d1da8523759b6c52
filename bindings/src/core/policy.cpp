#include "vljepa/policy.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "vljepa/error.hpp"
#include "vljepa/vector_math.hpp"

namespace vljepa {

namespace {

// The share of a hop by which a duration may fall short. Cameras jitter, and frames of 25 a second meet a grid of 0.25 s
// up to 40 ms late: two hops may be 0.46 s apart.
constexpr double kShortBy = 0.25;
// The share of the threshold up to which a hop is as the open segment, and not on the way to another.
constexpr double kAlike = 0.5;
// The share of the threshold that is enough at a hard cut, where the frames themselves say that something else began.
constexpr double kAtCut = 0.1;
// The step of a budget's threshold, as a logarithm: a third more a segment. Smaller ones learn a scene for minutes.
constexpr double kStep = 0.3;
// The largest cost that two unit embeddings can have, four, as a logarithm.
const double kMost = std::log(4.0);
// Timestamps are sums of floating-point frame times: 0.25 * 4 may be a few ulps short of 1.
constexpr double kRounding = 1e-9;  // seconds

void require(bool allowed, const char* name, double value, const char* range) {
    if (!allowed) throw InputError(std::string(name) + " " + std::to_string(value) + " is not supported; use " + range);
}

}  // namespace

void SegmentMean::clear() {
    std::fill(sum_.begin(), sum_.end(), 0.0);
    count_ = 0;
}

void SegmentMean::add(const float* embedding) {
    add_to(sum_.data(), embedding, sum_.size());
    ++count_;
}

void SegmentMean::add(const SegmentMean& other) {
    add_to(sum_.data(), other.sum_.data(), sum_.size());
    count_ += other.count_;
}

double SegmentMean::squared_distance_to(const float* point) const {
    return squared_distance(sum_.data(), 1.0 / static_cast<double>(count_), point, 1.0, sum_.size());
}

std::vector<float> SegmentMean::unit_mean() const {
    double squares = 0.0;
    for (const double x : sum_) squares += x * x;
    const double scale = squares > 0.0 ? 1.0 / std::sqrt(squares) : 0.0;
    std::vector<float> mean(sum_.size());
    std::transform(sum_.begin(), sum_.end(), mean.begin(), [scale](double x) { return static_cast<float>(x * scale); });
    return mean;
}

Policy::Policy(std::size_t width) : open_(width), width_(width) {
    if (width == 0) throw InputError("width 0 is not supported; use at least 1");
}

Decision Policy::push(const float* embedding, std::size_t width, double time, std::optional<double> since) {
    if (width != width_) {
        throw InputError("an embedding of width " + std::to_string(width) + " was pushed; use " +
                         std::to_string(width_));
    }
    check_time(time, open_.count() == 0);
    if (since && !(std::isfinite(*since) && *since <= time)) {
        throw InputError("since " + std::to_string(*since) + " s is not supported; use a time not after " +
                         std::to_string(time) + " s, the time of the embedding");
    }
    if (!all_finite(embedding, width)) {
        throw InputError("the embedding at " + std::to_string(time) +
                         " s is not finite; push finite numbers of unit norm");
    }
    hop_ = time - last_time_;
    const double span = last_time_ - since_;
    since_ = since.value_or(time);
    cut_ = open_.count() > 0 && since_ > last_time_ && time - since_ < 0.5 * span;
    last_time_ = time;
    if (open_.count() > 0) return step(embedding, time);
    start_ = time;
    start_since_ = since_;
    open_.add(embedding);
    begin(embedding);
    return {true, start_, start_since_, 0.0, std::nullopt};
}

Decision Policy::flush(double time) {
    check_time(time, true);
    last_time_ = time;
    if (open_.count() == 0) return {false, time, time, 0.0, std::nullopt};
    settle();
    Decision decision = split(time, time, 0.0);
    decision.opened = false;
    return decision;
}

void Policy::reset() {
    settle();
    open_.clear();
    last_time_ = -std::numeric_limits<double>::infinity();
}

Decision Policy::split(double time, double since, double score) {
    Segment closed{start_, time, open_.unit_mean(), open_.count(), score};
    open_.clear();
    start_ = time;
    start_since_ = since;
    return {true, start_, start_since_, score, std::move(closed)};
}

bool Policy::has_lasted(double elapsed, double duration) const { return elapsed >= duration - slack(duration); }

double Policy::slack(double duration) const { return std::max(kRounding, kShortBy * std::min(hop_, duration)); }

void Policy::check_time(double time, bool may_equal) const {
    if (!std::isfinite(time)) {
        throw InputError("time " + std::to_string(time) + " is not supported; use finite seconds");
    }
    if (time > last_time_ || (may_equal && time >= last_time_)) return;
    throw InputError("time " + std::to_string(time) + " s is not supported; use a time " +
                     (may_equal ? "not before " : "after ") + std::to_string(last_time_) + " s, the last one");
}

Uniform::Uniform(std::size_t width, double period) : Policy(width), period_(period) {
    require(std::isfinite(period) && period > 0.0, "period", period, "a number of seconds above 0");
}

void Uniform::begin(const float*) { due_ = start_ + period_; }

Decision Uniform::step(const float* embedding, double time) {
    const double score = (time - start_) / period_;
    Decision decision = stay(score);
    const double late = time - due_ + slack(period_);
    if (late >= 0.0) {
        decision = split(time, since_, score);
        due_ += period_ * (1.0 + std::floor(late / period_));
    }
    open_.add(embedding);
    return decision;
}

LocalVariance::LocalVariance(std::size_t width, const LocalVarianceOptions& options)
    : Policy(width),
      options_(options),
      pool_(width, options.smooth),
      window_(width, options.window) {
    require(std::isfinite(options.threshold) && options.threshold > 0.0, "threshold", options.threshold,
            "a number above 0");
    require(options.window >= 2, "window", static_cast<double>(options.window), "at least 2 hops");
    require(std::isfinite(options.min_duration) && options.min_duration >= 0.0, "min_duration", options.min_duration,
            "0 seconds or more");
}

void LocalVariance::begin(const float* embedding) {
    pool_.clear();
    window_.clear();
    observe(embedding);
}

Decision LocalVariance::step(const float* embedding, double time) {
    observe(embedding);
    const double score = window_.variance();
    const bool changed = score > options_.threshold && has_lasted(time - start_, options_.min_duration);
    Decision decision = changed ? split(time, since_, score) : stay(score);
    open_.add(embedding);
    if (changed) begin(embedding);
    return decision;
}

void LocalVariance::observe(const float* embedding) { window_.push_finite(pool_.push(embedding)); }

RunningWard::RunningWard(std::size_t width, const RunningWardOptions& options)
    : Policy(width), threshold_(options.threshold), options_(options), pool_(width, options.smooth), candidate_(width) {
    require(std::isfinite(options.threshold) && options.threshold > 0.0, "threshold", options.threshold,
            "a number above 0");
    require(std::isfinite(options.min_duration) && options.min_duration >= 0.0, "min_duration", options.min_duration,
            "0 seconds or more");
    require(options.max_duration > options.min_duration, "max_duration", options.max_duration,
            "more than min_duration, or inf");
    require(options.back > 0.0 && options.back <= 1.0, "back", options.back, "a share above 0 and at most 1");
}

void RunningWard::begin(const float* embedding) {
    turning_ = false;
    alike_ = start_;
    pool_from(embedding);
}

Decision RunningWard::step(const float* embedding, double time) {
    const float* pooled = pool_.push(embedding);
    const double cost = cost_to(open_, pooled);
    if (withheld_ && !may_split_ && cost_to(candidate_, pooled) > threshold_) settle();
    const bool waits = candidate_.count() > 0;
    const bool at_cut = cut_ || (waits && candidate_cut_);
    const bool differs = cost > threshold_ * (at_cut ? kAtCut : 1.0) * (waits ? options_.back : 1.0);
    const bool full = has_lasted(time - start_, options_.max_duration);
    if (turning_ && !full) {
        turning_ = since_ < start_;
        if (!cut_) {
            open_.clear();
            open_.add(embedding);
            pool_from(embedding);
            alike_ = time;
            return stay(cost);
        }
    }
    if (cost <= kAlike * threshold_) alike_ = time;
    if (!differs) settle();
    if (!differs && !full) {
        open_.add(embedding);
        return stay(cost);
    }
    if (candidate_.count() == 0) {
        candidate_start_ = time;
        candidate_cut_ = cut_;
        candidate_since_ = std::max(since_, differs ? alike_ : start_);
        pool_from(embedding);
    }
    candidate_.add(embedding);
    const bool due = full || has_lasted(time - candidate_start_, options_.min_duration);
    withheld_ = due && !may_split_;
    if (!due || withheld_) return stay(cost);
    Decision decision = split(candidate_start_, candidate_since_, cost);
    settle();
    alike_ = start_;
    turning_ = differs && since_ < start_;
    return decision;
}

double RunningWard::cost_to(const SegmentMean& mean, const float* pooled) const {
    return ward_cost(static_cast<double>(mean.count()), 1.0, mean.squared_distance_to(pooled));
}

void RunningWard::pool_from(const float* embedding) {
    pool_.clear();
    pool_.push(embedding);
}

void RunningWard::settle() {
    if (candidate_.count() == 0) return;
    if (!withheld_) open_.add(candidate_);
    candidate_.clear();
    withheld_ = false;
}

Budget::Budget(std::size_t width, const BudgetOptions& options)
    : RunningWard(width, {RunningWardOptions{}.threshold, options.smooth, options.min_duration,
                          std::numeric_limits<double>::infinity(), options.back}),
      rate_(options.per_minute / 60.0),
      burst_(static_cast<double>(options.burst)),
      least_(std::log(options.least)) {
    require(std::isfinite(rate_) && rate_ > 0.0, "per_minute", options.per_minute, "a number above 0");
    require(options.burst >= 1, "burst", burst_, "at least 1");
    require(least_ < kMost, "least", options.least, "a number above 0 and below 4");  // not of a NaN either
}

void Budget::begin(const float* embedding) {
    level_ = std::max(least_, std::log(RunningWardOptions{}.threshold));
    tokens_ = burst_ - 1.0;  // the first segment takes one
    RunningWard::begin(embedding);
}

Decision Budget::step(const float* embedding, double time) {
    const double earned = rate_ * hop();
    tokens_ = std::min(burst_, tokens_ + earned);
    level_ = std::max(least_, level_ - kStep * earned);
    threshold_ = std::exp(level_);
    may_split_ = tokens_ >= 1.0 - kRounding;
    Decision decision = RunningWard::step(embedding, time);
    if (decision.opened) {
        tokens_ -= 1.0;
        level_ = std::min(kMost, level_ + kStep);
    }
    return decision;
}

}  // namespace vljepa
