#include "vljepa/chain_ward.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <string>
#include <tuple>

#include "vljepa/error.hpp"
#include "vljepa/vector_math.hpp"

namespace vljepa {

namespace {

constexpr std::int64_t kNone = -1;

// Cost and the ids of both clusters, the younger first: equal costs join in scikit-learn's order.
using Join = std::tuple<double, std::int64_t, std::int64_t>;

// Clusters live in the row of their first embedding ("slot"); each join gives the survivor a new id, so that a heap
// entry whose ids are no longer current is recognised as stale.
class Chain {
  public:
    Chain(const float* embeddings, std::size_t length, std::size_t width)
        : width_(width),
          sums_(embeddings, embeddings + length * width),
          sizes_(length, 1.0),
          ids_(length),
          slots_(2 * length),
          previous_(length),
          next_(length),
          next_id_(static_cast<std::int64_t>(length)) {
        std::vector<Join> joins;
        joins.reserve(2 * length);
        const auto last = static_cast<std::int64_t>(length) - 1;
        for (std::int64_t slot = 0; slot <= last; ++slot) {
            const auto i = static_cast<std::size_t>(slot);
            ids_[i] = slot;
            slots_[i] = slot;
            previous_[i] = slot - 1;
            next_[i] = slot < last ? slot + 1 : kNone;
            if (slot > 0) joins.push_back(join(slot - 1, slot));
        }
        joins_ = Heap(std::greater<>(), std::move(joins));
    }

    // The cheapest join of two neighbours, infinite if there is only one cluster.
    double cheapest() {
        while (!joins_.empty() && !current(joins_.top())) joins_.pop();
        return joins_.empty() ? std::numeric_limits<double>::infinity() : std::get<0>(joins_.top());
    }

    // Carry out the join that cheapest() saw.
    void take() {
        const auto [cost, younger, older] = joins_.top();
        joins_.pop();
        const auto [left, right] = std::minmax({slot_of(younger), slot_of(older)});
        double* sum = row(left);
        const double* other = row(right);
        for (std::size_t i = 0; i < width_; ++i) sum[i] += other[i];
        at(sizes_, left) += at(sizes_, right);
        const std::int64_t after = at(next_, right);
        at(next_, left) = after;
        if (after != kNone) at(previous_, after) = left;
        at(slots_, younger) = kNone;
        at(slots_, older) = kNone;
        at(ids_, left) = next_id_;
        at(slots_, next_id_) = left;
        ++next_id_;
        if (at(previous_, left) != kNone) joins_.push(join(at(previous_, left), left));
        if (after != kNone) joins_.push(join(left, after));
    }

    std::vector<std::int64_t> starts() const {
        std::vector<std::int64_t> starts;
        for (std::int64_t slot = 0; slot != kNone; slot = next_[static_cast<std::size_t>(slot)]) starts.push_back(slot);
        return starts;
    }

  private:
    using Heap = std::priority_queue<Join, std::vector<Join>, std::greater<>>;

    template <typename T>
    static T& at(std::vector<T>& values, std::int64_t index) {
        return values[static_cast<std::size_t>(index)];
    }
    double* row(std::int64_t slot) { return sums_.data() + static_cast<std::size_t>(slot) * width_; }
    std::int64_t slot_of(std::int64_t id) { return at(slots_, id); }
    bool current(const Join& join) {
        return slot_of(std::get<1>(join)) != kNone && slot_of(std::get<2>(join)) != kNone;
    }

    Join join(std::int64_t left, std::int64_t right) {
        const double n = at(sizes_, left);
        const double k = at(sizes_, right);
        const double cost = ward_cost(n, k, squared_distance(row(left), 1.0 / n, row(right), 1.0 / k, width_));
        return {cost, std::max(at(ids_, left), at(ids_, right)), std::min(at(ids_, left), at(ids_, right))};
    }

    std::size_t width_;
    std::vector<double> sums_;
    std::vector<double> sizes_;
    std::vector<std::int64_t> ids_;    // of the cluster in a slot
    std::vector<std::int64_t> slots_;  // of a cluster by id; kNone once it was joined
    std::vector<std::int64_t> previous_;
    std::vector<std::int64_t> next_;
    std::int64_t next_id_;
    Heap joins_;
};

void check(const float* embeddings, std::size_t length, std::size_t width) {
    if (length == 0 || width == 0) {
        throw InputError("embeddings of shape (" + std::to_string(length) + ", " + std::to_string(width) +
                         ") are not supported; use at least one row and one column");
    }
    for (std::size_t t = 0; t < length; ++t) {
        if (!std::isfinite(squared_norm(embeddings + t * width, width))) {
            throw InputError("the embedding in row " + std::to_string(t) + " is not finite; use finite numbers");
        }
    }
}

}  // namespace

std::vector<std::int64_t> chain_ward(const float* embeddings, std::size_t length, std::size_t width,
                                     std::size_t segments) {
    check(embeddings, length, width);
    if (segments < 1 || segments > length) {
        throw InputError(std::to_string(segments) + " segments are not supported; use 1 to " + std::to_string(length) +
                         ", the number of embeddings");
    }
    Chain chain(embeddings, length, width);
    for (std::size_t left = length; left > segments; --left) {
        chain.cheapest();
        chain.take();
    }
    return chain.starts();
}

std::vector<std::int64_t> chain_ward_below(const float* embeddings, std::size_t length, std::size_t width,
                                           double threshold) {
    check(embeddings, length, width);
    if (std::isnan(threshold) || threshold < 0.0) {
        throw InputError("threshold " + std::to_string(threshold) + " is not supported; use 0 or more");
    }
    Chain chain(embeddings, length, width);
    for (std::size_t left = length; left > 1 && chain.cheapest() <= threshold; --left) chain.take();
    return chain.starts();
}

}  // namespace vljepa
