# start.sh PROTOCOL PORT TARGET
exec prlimit --nofile=1024 perdition --no_daemon --no_lookup \
    --config_file /dev/null --quiet --connect_relog 0 \
    --username nobody --group nogroup --pid_file "@RUN@/$1.pid" \
    --ssl_no_client_cert_verify --ssl_cert_file @CERT@ --ssl_key_file @KEY@ \
    --protocol "$1" --bind_address 127.0.0.1 --listen_port "$2" \
    --outgoing_server 127.0.0.1 --outgoing_port "$3" --ssl_mode ssl_listen
