#include "vljepa_ros_cpp/camera.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <vljepa/error.hpp>

namespace vljepa_ros {

namespace {

using vljepa::FrameError;
using vljepa::InputError;
using vljepa::PixelFormat;

struct Encoding {
    std::string_view name;
    PixelFormat format;
    std::size_t pixel_bytes;  // of the first plane
};

// Of those without a name for their channels OpenCV's order is meant.
constexpr std::array<Encoding, 11> kEncodings{{
    {"rgb8", PixelFormat::rgb, 3},
    {"bgr8", PixelFormat::bgr, 3},
    {"8UC3", PixelFormat::bgr, 3},
    {"rgba8", PixelFormat::rgba, 4},
    {"bgra8", PixelFormat::bgra, 4},
    {"8UC4", PixelFormat::bgra, 4},
    {"mono8", PixelFormat::grey, 1},
    {"8UC1", PixelFormat::grey, 1},
    {"yuyv", PixelFormat::yuyv, 2},
    {"yuv422_yuy2", PixelFormat::yuyv, 2},
    {"nv12", PixelFormat::nv12, 1},
}};

const Encoding& encoding_of(std::string_view name) {
    std::string known;
    for (const Encoding& encoding : kEncodings) {
        if (encoding.name == name) return encoding;
        known += (known.empty() ? "" : ", ") + std::string(encoding.name);
    }
    throw FrameError("the encoding must be one of " + known + ", got \"" + std::string(name.substr(0, 80)) + "\"");
}

std::string one_of(const std::string& name, const std::string& value, const std::vector<std::string>& allowed) {
    std::string known;
    for (const std::string& choice : allowed) {
        if (choice == value) return value;
        known += (known.empty() ? "" : ", ") + choice;
    }
    throw InputError(name + " must be one of " + known + ", got \"" + value + "\"");
}

vljepa::StreamOptions options_of(const Settings& settings) {
    const std::string decode = one_of("decode", settings.decode, {"both", "open", "closed", "none"});
    vljepa::StreamOptions options;
    options.live = true;
    options.policy = settings.policy;
    options.decode = decode == "both"     ? vljepa::Decode::both
                     : decode == "open"   ? vljepa::Decode::open
                     : decode == "closed" ? vljepa::Decode::closed
                                          : vljepa::Decode::none;
    options.still = settings.still;
    options.reuse = settings.reuse;
    return options;
}

vljepa::Query query_of(const vljepa::Model& model, const std::string& text) {
    return model.query(text.empty() ? model.manifest().text.default_query : text);
}

std::shared_ptr<const vljepa::Labels> watched(const vljepa::Model& model, const std::string& text) {
    const std::vector<std::string> names = labels_of(text);
    return names.empty() ? nullptr : model.labels(names);
}

}  // namespace

vljepa::Picture picture_of(const ImageView& image) {
    const Encoding& encoding = encoding_of(image.encoding);
    const bool is_nv12 = encoding.format == PixelFormat::nv12;
    const bool is_paired = is_nv12 || encoding.format == PixelFormat::yuyv;  // rows hold pairs of pixels
    const std::string about = std::to_string(image.width) + " x " + std::to_string(image.height);
    if (image.width == 0 || image.height == 0 || std::uint64_t{image.width} * image.height > vljepa::kMostPixels) {
        throw FrameError("an image must have 1 to " + std::to_string(vljepa::kMostPixels) + " pixels, got " + about);
    }
    const std::size_t row = (image.width + (is_paired ? image.width % 2 : 0)) * encoding.pixel_bytes;
    const std::size_t rows = image.height + (is_nv12 ? (image.height + 1) / 2 : 0);
    if (image.step < row) {
        throw FrameError("the step of " + std::to_string(image.width) + " " + std::string(encoding.name) +
                         " pixels must be at least " + std::to_string(row) + " bytes, got " + std::to_string(image.step));
    }
    const std::size_t needed = image.step * (rows - 1) + row;
    if (image.data == nullptr || image.size < needed) {
        throw FrameError(about + " in " + std::string(encoding.name) + " must have " + std::to_string(needed) +
                         " bytes of data, got " + std::to_string(image.size));
    }
    vljepa::Picture picture;
    picture.format = encoding.format;
    picture.width = static_cast<int>(image.width);
    picture.height = static_cast<int>(image.height);
    picture.planes[0] = image.data;
    picture.strides[0] = image.step;
    if (is_nv12) {
        picture.planes[1] = image.data + std::size_t{image.step} * image.height;
        picture.strides[1] = image.step;
    }
    picture.matrix = vljepa::Matrix::bt601;
    return picture;
}

std::vector<std::string> labels_of(const std::string& text) {
    std::vector<std::string> labels;
    for (std::size_t first = 0; first <= text.size();) {
        const std::size_t end = std::min(text.find(',', first), text.size());
        const std::size_t from = text.find_first_not_of(" \t", first);
        if (from < end) labels.push_back(text.substr(from, text.find_last_not_of(" \t", end - 1) + 1 - from));
        first = end + 1;
    }
    return labels;
}

Camera::Camera(std::shared_ptr<const vljepa::Model> model, const Settings& settings, Tell publish, Tell warn)
    : model_(std::move(model)),
      is_by_header_(one_of("clock", settings.clock, {"header", "arrival"}) == "header"),
      stream_(model_, {query_of(*model_, settings.query)}, options_of(settings),
              {[publish = std::move(publish)](const vljepa::Event& event) {
                   publish("{\"type\": \"event\", " + event.to_json().substr(1));
               },
               std::move(warn)}) {
    if (auto labels = watched(*model_, settings.watch)) stream_.watch(std::move(labels));
}

Camera::~Camera() {
    try {
        close();
    } catch (const std::exception&) {  // of the last text; the stream has told `warn` of others
    }
}

void Camera::see(const ImageView& image, double stamp, double now) {
    const vljepa::Picture picture = picture_of(image);
    if (is_by_header_ && stamp == 0.0) throw InputError("images have no stamps; set the parameter clock to arrival");
    stream_.push(picture, is_by_header_ ? stamp : now);
}

void Camera::change(const Change& change) {
    // All that can be refused comes first.
    std::vector<vljepa::Query> queries;
    if (change.query) queries.push_back(query_of(*model_, *change.query));
    if (change.policy) vljepa::make_policy(*change.policy, model_->width());
    std::shared_ptr<const vljepa::Labels> labels;
    if (change.watch) labels = watched(*model_, *change.watch);
    if (change.watch) stream_.watch(std::move(labels));
    if (change.query) stream_.set_queries(std::move(queries));
    if (change.policy) stream_.set_policy(*change.policy);
}

void Camera::close() {
    if (is_closed_.exchange(true)) return;
    stream_.flush();
    stream_.close();
}

}  // namespace vljepa_ros
