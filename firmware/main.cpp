// What the Arduino core's main() does, for a build without the core.
void setup();
void loop();

int main() {
    setup();
    for (;;) loop();
}
