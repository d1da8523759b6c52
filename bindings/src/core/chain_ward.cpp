#include "vljepa/chain_ward.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
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

void check_finite(const float* embeddings, std::size_t length, std::size_t width) {
    for (std::size_t t = 0; t < length; ++t) {
        if (!std::isfinite(squared_norm(embeddings + t * width, width))) {
            throw InputError("the embedding in row " + std::to_string(t) + " is not finite; use finite numbers");
        }
    }
}

// Clusters live in the row of their first embedding ("slot"); each join gives the survivor a new id, so that a heap
// entry whose ids are no longer current is recognised as stale. A cluster of one is its row of `embeddings`; only larger
// ones have a sum, in memory that those they joined have left: it stays small and near.
class Chain {
  public:
    Chain(const float* embeddings, std::size_t length, std::size_t width)
        : embeddings_(embeddings),
          width_(width),
          sums_(length),
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
        for (const Join& first : joins) {
            if (!std::isfinite(std::get<0>(first))) check_finite(embeddings, length, width);
        }
        joins_ = Heap(std::greater<>(), std::move(joins));
    }

    // The cheapest join of two neighbours, infinite if there is only one cluster.
    double cheapest() {
        while (!joins_.empty() && !current(joins_.top())) joins_.pop();
        return joins_.empty() ? std::numeric_limits<double>::infinity() : std::get<0>(joins_.top());
    }

    // Carry out the join that cheapest() saw; the slot that was joined to the one before it, and the cost.
    ChainJoin take() {
        const auto [cost, younger, older] = joins_.top();
        joins_.pop();
        const auto [left, right] = std::minmax({slot_of(younger), slot_of(older)});
        add(left, right);
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
        return {right, cost};
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
    const float* row(std::int64_t slot) const { return embeddings_ + static_cast<std::size_t>(slot) * width_; }
    const double* sum(std::int64_t slot) { return at(sums_, slot).get(); }

    // The sum of both goes to the left one.
    void add(std::int64_t left, std::int64_t right) {
        Sum& into = at(sums_, left);
        Sum& from = at(sums_, right);
        if (into && from) {
            add_to(into.get(), from.get(), width_);
            spare_.push_back(std::move(from));
        } else if (into) {
            add_to(into.get(), row(right), width_);
        } else if (from) {
            into = std::move(from);
            add_to(into.get(), row(left), width_);
        } else {
            if (spare_.empty()) spare_.emplace_back(new double[width_]);
            into = std::move(spare_.back());
            spare_.pop_back();
            sum_of_two(into.get(), row(left), row(right), width_);
        }
    }

    double distance(std::int64_t left, double n, std::int64_t right, double k) {
        const double* a = sum(left);
        const double* b = sum(right);
        if (a != nullptr && b != nullptr) return squared_distance(a, 1.0 / n, b, 1.0 / k, width_);
        if (a != nullptr) return squared_distance(a, 1.0 / n, row(right), 1.0, width_);
        if (b != nullptr) return squared_distance(b, 1.0 / k, row(left), 1.0, width_);
        return squared_distance(row(left), row(right), width_);
    }

    std::int64_t slot_of(std::int64_t id) { return at(slots_, id); }
    bool current(const Join& join) {
        return slot_of(std::get<1>(join)) != kNone && slot_of(std::get<2>(join)) != kNone;
    }

    Join join(std::int64_t left, std::int64_t right) {
        const double n = at(sizes_, left);
        const double k = at(sizes_, right);
        const double cost = ward_cost(n, k, distance(left, n, right, k));
        return {cost, std::max(at(ids_, left), at(ids_, right)), std::min(at(ids_, left), at(ids_, right))};
    }

    using Sum = std::unique_ptr<double[]>;

    const float* embeddings_;
    std::size_t width_;
    std::vector<Sum> sums_;  // of clusters of two and more
    std::vector<Sum> spare_;
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
    if (length == 1) check_finite(embeddings, length, width);  // else their distances say so
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

std::vector<ChainJoin> chain_ward_joins(const float* embeddings, std::size_t length, std::size_t width) {
    check(embeddings, length, width);
    Chain chain(embeddings, length, width);
    std::vector<ChainJoin> joins;
    joins.reserve(length - 1);
    while (joins.size() + 1 < length) {
        chain.cheapest();
        joins.push_back(chain.take());
    }
    return joins;
}

}  // namespace vljepa
