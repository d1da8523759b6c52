#include "stream/watched.hpp"

#include "bundle/json.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

std::vector<HysteresisOptions> policies(const Labels& labels, const std::vector<double>& thresholds, double hold) {
    HysteresisOptions usual;
    usual.hold = hold;
    std::vector<HysteresisOptions> found(labels.names().size(), usual);
    if (!thresholds.empty() && thresholds.size() != found.size()) {
        throw InputError("thresholds must be one for each of " + std::to_string(found.size()) + " labels, got " +
                         std::to_string(thresholds.size()));
    }
    for (std::size_t i = 0; i < thresholds.size(); ++i) {
        if (!(thresholds[i] > 0.0 && thresholds[i] <= 1.0)) {
            throw InputError("the threshold of \"" + labels.names()[i] +
                             "\" must be a probability, above 0 and at most 1, got " + Json(thresholds[i]).shown());
        }
        found[i] = beginning_at(thresholds[i], hold);
    }
    return found;
}

}  // namespace

WatchedLabels::WatchedLabels(std::shared_ptr<const Labels> labels, const std::vector<double>& thresholds, double hold)
    : labels_(std::move(labels)), watch_(policies(*labels_, thresholds, hold)) {}

std::vector<Sighting> WatchedLabels::push(const std::vector<float>& embedding, double time, double since) {
    embedding_ = embedding;
    labels_->probabilities(embedding, chances_);
    return watch_.push(chances_, time, since);
}

WatchedHead::WatchedHead(std::shared_ptr<const TaughtHead> head, double hold)
    : head_(std::move(head)),
      watch_(std::vector<HysteresisOptions>(head_->events.size(), beginning_at(head_->threshold, hold))),
      chances_(head_->events.size()) {}

std::vector<Sighting> WatchedHead::push(const std::vector<float>& features, double time, double since) {
    if (features.size() != head_->head.width()) {
        throw InputError("features must be " + std::to_string(head_->head.width()) + " numbers, got " +
                         std::to_string(features.size()) + "; the head was taught with another model");
    }
    head_->head.probabilities(features.data(), chances_.data());
    return watch_.push(chances_, time, since);
}

}  // namespace vljepa
