#include "lua_message.hpp"

#include <cstring>
#include <new>

#include "lua_object.hpp"

namespace osthread {
namespace {

struct Inbox final : Object {
  Message message;
  std::string describe() const override { return "inbox"; }
};

}  // namespace

MessageKind hand_over(const Value& value, Message& message) noexcept {
  switch (value.type()) {
    case Value::Type::nil:
      return kNil;
    case Value::Type::boolean:
      return value.boolean() ? kTrue : kFalse;
    case Value::Type::number:
      message.number = value.number();
      return kNumber;
    case Value::Type::string: {
      const std::string_view bytes = value.bytes();
      if (bytes.size() > Message::kMostText) return kOther;
      message.size = static_cast<std::uint32_t>(bytes.size());
      std::memcpy(message.text, bytes.data(), bytes.size());
      return kText;
    }
    default:
      return kOther;
  }
}

void push_inbox(lua_State* L) {
  auto* inbox = new (std::nothrow) Inbox;
  adopt_object(L, inbox);
  lua_pushlightuserdata(L, &inbox->message);
  lua_setfield(L, -2, "inbox");
}

}  // namespace osthread
