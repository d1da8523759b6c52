"""Events by MQTT: to a broker, for programs that subscribe and for Home Assistant. Needs the extra `mqtt`."""
