#pragma once

#include <memory>
#include <vector>

#include "core/watch.hpp"
#include "vision/window_encoder.hpp"
#include "vljepa/labels.hpp"
#include "vljepa/taught.hpp"

namespace vljepa {

/// Labels that one stream watches for.
class WatchedLabels {
  public:
    /// `thresholds`: the probability at which each appears; none: the default for all. Throws InputError.
    WatchedLabels(std::shared_ptr<const Labels> labels, const std::vector<double>& thresholds, double hold);

    const Labels& labels() const { return *labels_; }
    /// The newest prediction for their query.
    const std::vector<float>& embedding() const { return embedding_; }
    /// What is predicted for their query, where no query of the stream is the same.
    Prediction& prediction() { return prediction_; }
    Watch& watch() { return watch_; }

    std::vector<Sighting> push(const std::vector<float>& embedding, double time, double since);

  private:
    std::shared_ptr<const Labels> labels_;
    Watch watch_;
    Prediction prediction_;
    std::vector<float> embedding_;
    std::vector<double> chances_;
};

/// A head whose events one stream tells of.
class WatchedHead {
  public:
    /// Throws InputError.
    WatchedHead(std::shared_ptr<const TaughtHead> head, double hold);

    const std::shared_ptr<const TaughtHead>& head() const { return head_; }
    Watch& watch() { return watch_; }

    /// Throws InputError for features of another width than the head's.
    std::vector<Sighting> push(const std::vector<float>& features, double time, double since);

  private:
    std::shared_ptr<const TaughtHead> head_;
    Watch watch_;
    std::vector<double> chances_;
};

}  // namespace vljepa
