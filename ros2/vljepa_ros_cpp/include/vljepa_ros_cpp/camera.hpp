#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <vljepa/model.hpp>
#include <vljepa/pixels.hpp>
#include <vljepa/stream.hpp>

namespace vljepa_ros {

/// The fields of a sensor_msgs/Image that matter here, in memory of the message's. `step`: bytes from one row to the next.
struct ImageView {
    std::string_view encoding;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::uint32_t step = 0;
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;
};

/// The pixels of an image, which stay where they are. YUV is BT.601 whatever the size, as ROS's own conversion takes it.
/// Throws FrameError for an encoding that is not known, and sizes that its data does not have.
vljepa::Picture picture_of(const ImageView& image);

/// "cup, a person" as a list.
std::vector<std::string> labels_of(const std::string& text);

/// Parameters of the node beside those of the model.
struct Settings {
    std::string query;                   // "": the model's
    std::string policy = "running-ward";
    std::string watch;                   // labels, with commas between them
    std::string decode = "both";         // closed, open, both or none
    std::string clock = "header";        // or arrival
    double still = 0.0;                  // see vljepa::StreamOptions
    double reuse = 0.0;
};

/// What of the settings changes while the node runs.
struct Change {
    std::optional<std::string> query;
    std::optional<std::string> policy;
    std::optional<std::string> watch;
};

/// What a node does with the images of one camera, whatever carries its messages: it gives them to a live stream, where the
/// latest win, and publishes each event as a line of JSON, `{"type": "event", "status": ...}`.
///
/// Any thread may call any method but the destructor, which is as close().
class Camera {
  public:
    using Tell = std::function<void(const std::string&)>;

    /// `publish`: called with each event, on the stream's worker or on the thread that changes the stream. `warn`: called on
    /// the worker with what failed there. Throws InputError for a setting that is not allowed.
    Camera(std::shared_ptr<const vljepa::Model> model, const Settings& settings, Tell publish, Tell warn);
    ~Camera();

    /// An image came: `stamp` is the time of its header, `now` that of the node's clock, both seconds since 1970. Copies the
    /// image where the model wants it, and returns. Throws FrameError as picture_of() does, InputError for a stamp of 0,
    /// with which drivers say that they have none, and after close(); the next image is taken then.
    void see(const ImageView& image, double stamp, double now);

    /// Asks, cuts by, or watches for something else from the next hop on: all of it or, where one is not allowed, none.
    /// Throws InputError.
    void change(const Change& change);

    /// Publishes the events of what is going on, and ends. Can be called twice.
    void close();

    vljepa::StreamStats stats() const { return stream_.stats(); }

  private:
    std::shared_ptr<const vljepa::Model> model_;
    bool is_by_header_;
    std::atomic<bool> is_closed_{false};
    vljepa::Stream stream_;
};

}  // namespace vljepa_ros
