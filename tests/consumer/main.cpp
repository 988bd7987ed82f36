#include <iostream>
#include <osthread/osthread.hpp>

int main() {
  osthread::OSThread t("return ... * 2", {21});
  t.join();
  const auto twice = t.result().at(0).as<double>();
  std::cout << OSTHREAD_VERSION << ": " << twice << '\n';
  return twice == 42 ? 0 : 1;
}
