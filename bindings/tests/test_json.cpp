// The JSON reader takes what RFC 8259 allows and the manifest's limits, and nothing else.

#include "bundle/json.hpp"

#include <stdexcept>
#include <string>

#include "check.hpp"

using vljepa::Json;
using vljepa::parse_json;

int main() {
    const Json value = parse_json(R"( {"a": [1, -2.5e1, true, null], "b": "x\u00e9\ud83d\ude00\n", "c": {}} )");
    const Json::List& list = *value.find("a")->list();
    CHECK(list.size() == 4 && *list[0].integer() == 1 && *list[1].real() == -25.0 && *list[2].boolean());
    CHECK(list[3].is_null() && value.find("d") == nullptr && list[0].real() == nullptr);
    CHECK(*value.find("b")->text() == "x\xC3\xA9\xF0\x9F\x98\x80\n");
    CHECK(*parse_json("9223372036854775807").integer() == INT64_MAX);
    CHECK(*parse_json("1e-400").real() == 0.0);

    for (const char* broken :
         {"", "{", "[1,]", "{\"a\":1,}", "{\"a\":1,\"a\":2}", "{a:1}", "01", "1.", ".5", "+1", "1e", "nul", "NaN", "[Infinity]",
          "1e999", "-1e999", "9223372036854775808", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\x\"", "\"a\nb\"",
          "\"", "\"\\u12\"", "1 2", "\xEF\xBB\xBF{}", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xC3\"",
          "\"\xFF\""}) {
        CHECK_THROWS(parse_json(broken), std::runtime_error);
    }
    const auto nested = [](int levels) { return std::string(levels, '[') + std::string(levels, ']'); };
    parse_json(nested(32));
    CHECK_THROWS(parse_json(nested(33)), std::runtime_error);
    CHECK_THROWS(parse_json(std::string(100'000, '[')), std::runtime_error);
}
