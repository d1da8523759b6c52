#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/segments.hpp"
#include "stream/sayings.hpp"
#include "vision/window_encoder.hpp"
#include "vljepa/model.hpp"
#include "vljepa/policy.hpp"

namespace vljepa {

/// A segment that opened (no end, the newest embedding) or closed (the mean embedding of the segment).
struct Cut {
    std::int64_t segment = 0;
    double start = 0.0;
    std::optional<double> end;
    std::vector<float> embedding;
    double change = 0.0;
};

/// One query of a stream: its policy's state, and its Segments.
class Track {
  public:
    /// `reuse`: see StreamOptions.
    Track(std::shared_ptr<const Query> query, std::unique_ptr<Policy> policy, double reuse)
        : sayings(reuse), query_(std::move(query)), policy_(std::move(policy)) {}

    /// What was said of its segments.
    Sayings sayings;

    const Query& query() const { return *query_; }
    const std::shared_ptr<const Query>& shared_query() const { return query_; }
    /// What is predicted for the query.
    Prediction& prediction() { return prediction_; }
    /// Tells the policy of a hop, whose embedding is in prediction(); what closed and what opened, in this order. `since`:
    /// the oldest frame of its window.
    std::vector<Cut> push(double time, double since);
    /// The stream ended at its last frame: closes the open segment there and starts afresh.
    std::vector<Cut> end(double time);
    /// The next hop may have any time, and the next segment starts no earlier than it.
    void restart_clock() { segments_.restart_clock(); }
    /// Forgets all but the query.
    void reset();

  private:
    std::shared_ptr<const Query> query_;
    Prediction prediction_;
    std::unique_ptr<Policy> policy_;
    Segments segments_;
};

}  // namespace vljepa
